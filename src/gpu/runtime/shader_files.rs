//! The WGSL files under `shaders/`, embedded in the program, and the source that several of them make
//! together.
//!
//! A file is named by its path without the ending, such as `step/adam`. It says in its first lines which
//! others it cannot do without: `//! needs lib/grid lib/complex`. Where several files implement the same
//! function (`activate`, `input_quad`, `emit`, `load`, the scalar `real`), the host names the one that it
//! wants, and no file needs it.

use include_dir::{Dir, include_dir};
use std::collections::HashSet;

static SHADERS: Dir = include_dir!("$CARGO_MANIFEST_DIR/shaders");

/// What a line that names needs begins with.
const NEEDS: &str = "//! needs ";

/// One WGSL text made of several, which knows where each of its lines comes from.
#[derive(Default)]
pub(crate) struct Source {
    pub(crate) text: String,
    parts: Vec<Part>,
}

struct Part {
    /// A path under the repository, or what a text from outside is called.
    name: String,
    /// Lines of the source before this part.
    lines_before: usize,
}

impl Source {
    /// Appends a text. It is complete: what it needs has been appended before, or follows.
    fn append(&mut self, name: String, text: &str) {
        self.parts.push(Part { name, lines_before: self.text.lines().count() });
        self.text += text;
        if !text.ends_with('\n') {
            self.text.push('\n');
        }
    }

    /// File and line, such as `shaders/step/adam.wgsl:12`, of a line of the whole text; both count from 1.
    pub(crate) fn place(&self, line: usize) -> String {
        let index = self.parts.partition_point(|part| part.lines_before < line);
        match index.checked_sub(1).map(|index| &self.parts[index]) {
            Some(part) => format!("{}:{}", part.name, line - part.lines_before),
            None => format!("line {line}"),
        }
    }
}

/// Puts `constants`, the shader files called `names` and, if there is one, a text from outside (its name, its
/// WGSL) into one source: every file once, and before it those that it needs.
///
/// # Errors
/// A line that says which file is unknown, or which files need each other in a circle.
pub(crate) fn assemble(
    constants: &str,
    names: &[String],
    outside: Option<(&str, &str)>,
) -> Result<Source, String> {
    let mut assembly = Assembly::new(text);
    assembly.source.append("constants".to_owned(), constants);
    names.iter().try_for_each(|name| assembly.add(name))?;
    if let Some((name, text)) = outside {
        needs(text).try_for_each(|needed| assembly.add(needed))?;
        assembly.source.append(name.to_owned(), text);
    }
    Ok(assembly.source)
}

/// The texts of all embedded files, in a fixed order.
pub(crate) fn texts() -> Vec<&'static str> {
    fn add(folder: &'static Dir, texts: &mut Vec<&'static str>) {
        texts.extend(folder.files().filter_map(|file| file.contents_utf8()));
        folder.dirs().for_each(|folder| add(folder, texts));
    }
    let mut all = Vec::new();
    add(&SHADERS, &mut all);
    all
}

/// The text of an embedded file.
fn text(name: &str) -> Option<&'static str> {
    SHADERS.get_file(format!("{name}.wgsl"))?.contents_utf8()
}

/// The files that a text cannot do without.
fn needs(text: &str) -> impl Iterator<Item = &str> {
    let head = text.lines().take_while(|line| line.starts_with("//!"));
    head.filter_map(|line| line.strip_prefix(NEEDS)).flat_map(str::split_whitespace)
}

/// A source that is being put together.
struct Assembly<F> {
    source: Source,
    /// Finds the text of a file.
    find: F,
    added: HashSet<String>,
    /// The files whose needs are being added, each needed by the one before it.
    open: Vec<String>,
}

impl<F: Fn(&str) -> Option<&'static str>> Assembly<F> {
    fn new(find: F) -> Self {
        Self { source: Source::default(), find, added: HashSet::new(), open: Vec::new() }
    }

    /// Adds a file and before it what it needs, unless it was added before.
    fn add(&mut self, name: &str) -> Result<(), String> {
        if self.added.contains(name) {
            return Ok(());
        }
        if self.open.iter().any(|open| open == name) {
            return Err(format!(
                "shader files need each other in a circle: {} -> {name}",
                self.open.join(" -> ")
            ));
        }
        let Some(text) = (self.find)(name) else {
            let reader =
                self.open.last().map(|open| format!(", which shaders/{open}.wgsl needs")).unwrap_or_default();
            return Err(format!("there is no shaders/{name}.wgsl{reader}"));
        };
        self.open.push(name.to_owned());
        needs(text).try_for_each(|needed| self.add(needed))?;
        self.open.pop();
        self.added.insert(name.to_owned());
        self.source.append(format!("shaders/{name}.wgsl"), text);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use include_dir::DirEntry;

    fn names(folder: &Dir) -> Vec<String> {
        let entries = folder.entries().iter();
        let of_entry = |entry: &DirEntry| match entry {
            DirEntry::Dir(folder) => names(folder),
            DirEntry::File(file) => vec![file.path().with_extension("").to_str().unwrap().replace('\\', "/")],
        };
        entries.flat_map(of_entry).collect()
    }

    #[test]
    fn every_file_finds_what_it_needs() {
        let names = names(&SHADERS);
        assert!(names.len() > 50, "only {} files", names.len());
        for name in names {
            let source = assemble("", std::slice::from_ref(&name), None).unwrap();
            let own = text(&name).unwrap();
            assert!(source.text.ends_with(own), "{name} comes last");
            let head = own.lines().take_while(|line| line.starts_with(NEEDS)).count();
            let all = own.lines().filter(|line| line.starts_with("//!")).count();
            assert_eq!(head, all, "{name}: a line with //! is not at the head, or does not name needs");
        }
    }

    /// Three files: `top` needs `left` and `base`, `left` needs `base`.
    fn find(name: &str) -> Option<&'static str> {
        match name {
            "top" => Some("//! needs left\n//! needs base\n\nfn top() {}"),
            "left" => Some("//! needs base\nfn left() {}\n"),
            "base" => Some("fn base() {}\n"),
            "lost" => Some("//! needs left nowhere\n"),
            "here" => Some("//! needs there\n"),
            "there" => Some("//! needs base here\n"),
            _ => None,
        }
    }

    fn assembled(names: &[&str]) -> Result<Source, String> {
        let mut assembly = Assembly::new(find);
        names.iter().try_for_each(|name| assembly.add(name))?;
        Ok(assembly.source)
    }

    #[test]
    fn each_file_comes_once_and_after_its_needs() {
        let source = assembled(&["left", "top", "base"]).unwrap();
        let functions: Vec<&str> = source.text.lines().filter(|line| line.starts_with("fn")).collect();
        assert_eq!(functions, ["fn base() {}", "fn left() {}", "fn top() {}"]);
    }

    #[test]
    fn every_line_is_found_again() {
        let source = assembled(&["top"]).unwrap();
        let place_of = |wanted: &str| {
            let index = source.text.lines().position(|line| line == wanted).unwrap();
            source.place(index + 1)
        };
        assert_eq!(place_of("fn base() {}"), "shaders/base.wgsl:1");
        assert_eq!(place_of("fn left() {}"), "shaders/left.wgsl:2");
        assert_eq!(place_of("fn top() {}"), "shaders/top.wgsl:4");
    }

    #[test]
    fn what_is_missing_or_needs_itself_is_named() {
        assert_eq!(assembled(&["gone"]).err().unwrap(), "there is no shaders/gone.wgsl");
        let lost = assembled(&["lost"]).err().unwrap();
        assert_eq!(lost, "there is no shaders/nowhere.wgsl, which shaders/lost.wgsl needs");
        let circle = assembled(&["here"]).err().unwrap();
        assert_eq!(circle, "shader files need each other in a circle: here -> there -> here");
    }
}
