//! `diffuse`, `restore` and `reconstruct` on pictures and folders of them, as people use them.

use image::{ColorType, DynamicImage, GenericImageView, ImageBuffer};
use std::path::PathBuf;
use std::process::{Command, Output};
use unheat::io::arrays::npy::{self, FieldData, Fields};
use unheat::io::images::photo;
use unheat::model::quality::psnr;

struct Room(tempfile::TempDir);

impl Room {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn unheat(&self, arguments: &str) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_unheat"));
        command.args(arguments.split_whitespace()).current_dir(self.0.path()).output().unwrap()
    }

    #[track_caller]
    fn succeeds(&self, arguments: &str) -> String {
        let output = self.unheat(arguments);
        assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// The one line on standard error.
    #[track_caller]
    fn fails(&self, arguments: &str, code: i32) -> String {
        let output = self.unheat(arguments);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{arguments}: {stderr}");
        let is_ours = |l: &&str| l.starts_with("unheat: ") || l.starts_with("error: ");
        let ours: Vec<&str> = stderr.lines().filter(is_ours).filter(|l| !l.contains("XDG_RUNTIME")).collect();
        assert_eq!(ours.len(), 1, "{arguments}: {stderr}");
        ours[0].to_owned()
    }

    /// A network that has hardly learned anything.
    fn train(&self) {
        self.succeeds("train --steps 2 --batch 4 --size 16x16 --levels 2 --filters 8 --device cpu -o run");
    }

    /// A grey square on a slope, with 8 bits and alpha, or 16 bits and colour.
    fn draw(&self, name: &str, nx: u32, ny: u32, sixteen: bool) {
        let value = |x: u32, y: u32| {
            let square = (nx / 4..nx / 2).contains(&x) && (ny / 3..ny / 2).contains(&y);
            if square { 0.9 } else { 0.2 + 0.3 * f64::from(x) / f64::from(nx) }
        };
        let image = if sixteen {
            let pixel = |x, y| [1.0, 0.5, 0.25].map(|v| (65535.0 * v * value(x, y)) as u16);
            DynamicImage::ImageRgb16(ImageBuffer::from_fn(nx, ny, |x, y| image::Rgb(pixel(x, y))))
        } else {
            let pixel = |x, y| [(255.0 * value(x, y)) as u8, (x + y) as u8];
            DynamicImage::ImageLumaA8(ImageBuffer::from_fn(nx, ny, |x, y| image::LumaA(pixel(x, y))))
        };
        image.save(self.path(name)).unwrap();
    }

    fn image(&self, name: &str) -> DynamicImage {
        image::open(self.path(name)).unwrap()
    }

    fn psnr(&self, name: &str, truth: &str) -> f64 {
        let planes = |name| photo::read(&self.path(name)).unwrap().planes;
        psnr(&planes(name), &planes(truth), 1.0)
    }
}

#[test]
fn pictures_keep_their_size_depth_and_alpha() {
    let room = Room::new();
    room.train();
    room.draw("grey.png", 37, 50, false);
    room.draw("colour.tif", 64, 32, true);
    for (name, kind) in [("grey.png", ColorType::La8), ("colour.tif", ColorType::Rgb16)] {
        room.succeeds(&format!("diffuse -i {name} --amount 2 -o y-{name} --device cpu"));
        let told = room.succeeds(&format!(
            "reconstruct --weights run/weights.safetensors -i y-{name} -o x-{name} --amount 2 --refine 6 \
             --noise 4e-3 --report r.png --truth {name} --device cpu"
        ));
        assert!(told.contains("1 picture") && told.contains("updates took the misfit"), "{told}");
        let (before, y, x) =
            (room.image(name), room.image(&format!("y-{name}")), room.image(&format!("x-{name}")));
        assert_eq!((y.color(), x.color()), (kind, kind));
        assert_eq!((y.dimensions(), x.dimensions()), (before.dimensions(), before.dimensions()));
        if kind == ColorType::La8 {
            let alpha = |image: &DynamicImage| {
                image.as_bytes().iter().skip(1).step_by(2).copied().collect::<Vec<_>>()
            };
            assert_eq!(alpha(&x), alpha(&before));
        }
        // Six damped inverses sharpen, whatever the network said.
        let (blurred, refined) =
            (room.psnr(&format!("y-{name}"), name), room.psnr(&format!("x-{name}"), name));
        assert!(refined > blurred + 1.0, "{name}: {blurred} {refined}");
        assert!(room.image("r.png").width() > 1000);
    }
    // On the shaders the same picture, but for rounding.
    room.succeeds("diffuse -i grey.png --amount 2 -o gpu.png --device 0");
    assert!(room.psnr("gpu.png", "y-grey.png") > 60.0);
}

#[test]
fn classical_methods_sharpen_pictures_and_arrays() {
    let room = Room::new();
    room.draw("a.png", 48, 80, false);
    room.succeeds("diffuse -i a.png --amount 2 -o y.png --device cpu");
    // The damped inverse expects signals of white noise's spectrum. Pictures have less of high frequencies,
    // so it does best when told of three times the noise there is.
    for method in
        ["one-shot --noise 4e-3", "iterated --noise 4e-3", "tikhonov", "richardson-lucy --iterations 30"]
    {
        room.succeeds(&format!("restore --method {method} -i y.png --amount 2 -o x.png --device cpu"));
        let (blurred, restored) = (room.psnr("y.png", "a.png"), room.psnr("x.png", "a.png"));
        assert!(restored > blurred + 1.0, "{method}: {blurred} {restored}");
    }
    room.succeeds("generate --count 2 --size 32x32 -o f.npy");
    room.succeeds("diffuse -i f.npy --amount 2 -o g.npy --device cpu");
    room.succeeds("restore --method tikhonov --noise 1e-4 -i g.npy --amount 2 -o h.npy --device cpu");
    let values = |name: &str| match npy::read(&room.path(name)).unwrap().data {
        FieldData::F32(values) => values.into_iter().map(f64::from).collect::<Vec<_>>(),
        FieldData::F64(values) => values,
    };
    let (blurred, restored) =
        (psnr(&values("g.npy"), &values("f.npy"), 1.0), psnr(&values("h.npy"), &values("f.npy"), 1.0));
    assert!(restored > blurred + 3.0, "{blurred} {restored}");
}

#[test]
fn stacks_of_temperatures_keep_their_units_and_go_to_tiff_alone() {
    let room = Room::new();
    let page =
        |offset: f32| (0..24 * 16).map(move |i| offset + 20.0 * (i as f32 * 0.3).sin()).collect::<Vec<f32>>();
    let mut file = std::fs::File::create(room.path("stack.tif")).unwrap();
    let mut encoder = tiff::encoder::TiffEncoder::new(&mut file).unwrap();
    for offset in [-200.0, 300.0] {
        encoder.write_image::<tiff::encoder::colortype::Gray32Float>(24, 16, &page(offset)).unwrap();
    }
    let told = room.succeeds("diffuse -i stack.tif -o y.tif --amount 3 --device cpu");
    assert!(told.contains("1 picture"), "{told}");
    let [x, y] = ["stack.tif", "y.tif"].map(|name| photo::read(&room.path(name)).unwrap());
    assert_eq!(y.describe(), "24x16 pixels, 1 channel, float32, 2 pages");
    for (x, y) in x.planes.chunks_exact(24 * 16).zip(y.planes.chunks_exact(24 * 16)) {
        let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len() as f64;
        let spread = |v: &[f64]| v.iter().map(|a| (a - mean(v)).powi(2)).sum::<f64>();
        assert!((mean(x) - mean(y)).abs() <= 1e-3 && spread(y) < 0.5 * spread(x));
    }
    let line = room.fails("diffuse -i stack.tif -o y.png --device cpu", 1);
    assert!(line.contains("PNG holds one picture, the stack has 2"), "{line}");
}

#[test]
fn what_is_hidden_does_not_bleed_into_what_is_seen() {
    let room = Room::new();
    let pixel = |x: u32, _: u32| if x < 20 { image::Rgba([255; 4]) } else { image::Rgba([0; 4]) };
    let image = image::RgbaImage::from_fn(40, 30, pixel);
    image.save(room.path("halo.png")).unwrap();
    room.succeeds("diffuse -i halo.png -o y.png --amount 8 --device cpu");
    assert_eq!(room.image("y.png").to_rgba8(), image);
}

#[test]
fn folders_go_at_once_and_a_bad_file_stops_no_other() {
    let room = Room::new();
    std::fs::create_dir(room.path("in")).unwrap();
    room.draw("in/b.png", 20, 30, false);
    room.draw("in/a.tif", 16, 16, true);
    image::RgbImage::new(24, 8).save(room.path("in/c.jpg")).unwrap();
    std::fs::write(room.path("in/notes.txt"), "no picture").unwrap();
    let names = |folder: &str| {
        let entries = std::fs::read_dir(room.path(folder)).unwrap();
        let mut names: Vec<String> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    assert!(room.succeeds("diffuse -i in -o out --amount 1 --device cpu").contains("3 pictures"));
    assert_eq!(names("out"), ["a.tif", "b.png", "c.png"]);
    room.train();
    room.succeeds(
        "reconstruct --weights run/weights.safetensors -i out -o x --amount 1 --refine 1 --report reports \
         --device cpu",
    );
    assert_eq!(
        (names("x"), names("reports")),
        (names("out"), ["a.png", "b.png", "c.png"].map(String::from).into())
    );
    std::fs::write(room.path("in/bad.png"), "no picture").unwrap();
    let output = room.unheat("diffuse -i in -o again --amount 1 --device cpu");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(4));
    assert!(stderr.contains("bad.png: not a picture that is read"), "{stderr}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("3 pictures, 1 left out"));
    assert_eq!(names("again"), ["a.tif", "b.png", "c.png"]);
}

#[test]
fn bad_input_is_refused_in_one_line() {
    let room = Room::new();
    room.train();
    room.draw("a.png", 16, 16, false);
    room.draw("big.tif", 32, 16, true);
    room.draw("deep.tif", 16, 16, true);
    std::fs::create_dir(room.path("none")).unwrap();
    std::fs::create_dir(room.path("twins")).unwrap();
    room.draw("twins/a.png", 16, 16, false);
    image::RgbImage::new(8, 8).save(room.path("twins/a.jpg")).unwrap();
    std::fs::write(room.path("text.txt"), "hello").unwrap();
    std::fs::write(room.path("a.gif"), b"GIF89a\x01\x00\x01\x00\x00\x00\x00").unwrap();
    let data = FieldData::F64(vec![1.0; 64]);
    npy::write(&room.path("f.npy"), &Fields { shape: [1, 8, 8], data, rank2: false }).unwrap();
    let net = "reconstruct --weights run/weights.safetensors --device cpu";
    for (arguments, code, expected) in [
        ("diffuse -i nothing.png -o y.png".to_owned(), 1, "nothing.png"),
        ("diffuse -i text.txt -o y.png".to_owned(), 1, "neither a .npy array nor a picture"),
        ("diffuse -i a.gif -o y.png --device cpu".to_owned(), 1, "ends early"),
        ("diffuse -i a.png -o y.gif --device cpu".to_owned(), 1, "read and not written; name a .png, .tiff"),
        ("diffuse -i a.png -o y.webp --device cpu".to_owned(), 1, "read and not written"),
        ("diffuse -i a.png -o y.bmp --device cpu".to_owned(), 1, "read and not written"),
        ("diffuse -i a.png -o y.npy --device cpu".to_owned(), 1, "name a .png, .tiff or .jpg"),
        ("diffuse -i f.npy -o y.png --device cpu".to_owned(), 1, "name a .npy file"),
        ("diffuse -i a.png -o y.jpg --device cpu".to_owned(), 1, "no alpha"),
        ("diffuse -i deep.tif -o y.jpg --device cpu".to_owned(), 1, "JPEG holds 8 bits"),
        ("diffuse -i a.png -o no/y.png --device cpu".to_owned(), 1, "no folder no"),
        ("diffuse -i a.png -o y.png --amount -1 --device cpu".to_owned(), 2, "amount -1"),
        ("diffuse -i none -o y".to_owned(), 1, "holds no picture"),
        ("diffuse -i twins -o y".to_owned(), 2, "the same file"),
        ("diffuse -i twins -o twins".to_owned(), 2, "name the same file or folder"),
        ("diffuse -i twins -o a.png".to_owned(), 1, "name a folder"),
        ("restore -i a.png".to_owned(), 2, "required arguments"),
        ("restore -i f.npy -o y.npy --noise much".to_owned(), 2, "must be auto or a number"),
        ("restore -i f.npy -o y.npy --positive".to_owned(), 2, "for --method tv"),
        ("restore --method one-shot -i a.png -o y.png --noise -1".to_owned(), 2, "noise -1"),
        ("restore --method one-shot -i a.png -o y.png --iterations 3".to_owned(), 2, "--iterations is for"),
        ("restore --method iterated -i a.png -o y.png --lambda 1".to_owned(), 2, "--lambda is for"),
        ("restore --method tikhonov --lambda 0 -i a.png -o y.png --device cpu".to_owned(), 2, "lambda 0"),
        (format!("{net} -i a.png -o x.png --refine 3"), 2, "add --amount or --operator"),
        (format!("{net} -i a.png -o x.png --report r.png"), 2, "add --amount or --operator"),
        (format!("{net} -i f.npy -o x.npy --refine 3 --amount 8 --noise=-1"), 2, "noise -1"),
        (format!("{net} -i a.png -o x.png --amount 8 --report x.png"), 2, "the same file"),
        (format!("{net} -i deep.tif -o x.png --amount 8 --report r.png --truth big.tif"), 1, "32x16 pixels"),
        (format!("{net} -i a.png -o x.gif"), 1, "name a .png, .tiff or .jpg"),
        (format!("{net} -i a.png -o x.pnm"), 1, "name a .png, .tiff or .jpg"),
    ] {
        let line = room.fails(&arguments, code);
        assert!(line.contains(expected), "{arguments}: {line}");
        for left in ["y.png", "x.png", "y", "y.jpg", "y.gif", "y.webp", "y.bmp", "x.npy", "r.png"] {
            assert!(!room.path(left).exists(), "{arguments}: {left}");
        }
    }
}
