//! The CPU twins against the reference system's values, in f64 (where they must agree to rounding) and f32.

use crate::support::{Golden, check, live_errors, net, rasterised, relative, widen};
use unheat::cpu::heat::physics::Physics;
use unheat::cpu::passes::Passes;
use unheat::cpu::unet::network::Network;
use unheat::cpu::unet::together::Together;
use unheat::cpu::{Precision, Real, Step, fast};
use unheat::model::unet::init::State;
use unheat::model::{Batch, Method, Operator, StepSpec};

#[test]
fn rasterised_fields() {
    let golden = Golden::open("data");
    for (prefix, nx, ny) in [("64.", 64, 64), ("32.", 32, 32), ("128x64.", 128, 64)] {
        let rectangles = golden.rectangles(prefix);
        let truth = golden.f64(&format!("{prefix}x_gt"));
        check(&format!("x* {prefix} f64"), relative(&rasterised::<f64>(&rectangles, nx, ny), &truth), 1e-12);
        check(&format!("x* {prefix} f32"), relative(&rasterised::<f32>(&rectangles, nx, ny), &truth), 2e-6);
    }
}

#[test]
fn diffused_fields() {
    let (data, golden) = (Golden::open("data"), Golden::open("diffuse"));
    for (prefix, nx, ny, amount) in [
        ("64", 64, 64, 8.0),
        ("64", 64, 64, 2.0),
        ("64", 64, 64, 0.5),
        ("32", 32, 32, 8.0),
        ("128x64", 128, 64, 8.0),
    ] {
        let y = golden.f64(&format!("{prefix}.y_amount{amount}"));
        let x = &data.f64(&format!("{prefix}.x_gt"))[..y.len()];
        let heat = Operator::heat(nx, ny, amount).unwrap();
        let mut ours = vec![0.0; y.len()];
        Physics::<f64>::new(&heat).diffuse(x, &mut ours);
        check(&format!("y {prefix} a={amount} f64"), relative(&ours, &y), 1e-12);
        let mut ours = vec![0.0; y.len()];
        let x: Vec<f32> = x.iter().map(|&v| v as f32).collect();
        Physics::<f32>::new(&heat).diffuse(&x, &mut ours);
        check(&format!("y {prefix} a={amount} f32"), relative(&widen(&ours), &y), 1e-6);
    }
}

#[test]
fn sip_updates_in_training_form() {
    let (data, golden) = (Golden::open("data"), Golden::open("inv_diffuse"));
    for (case, nx, ny, amount) in [
        ("64.poor.a8", 64, 64, 8.0),
        ("64.good.a8", 64, 64, 8.0),
        ("64.poor.a2", 64, 64, 2.0),
        ("64.good.a2", 64, 64, 2.0),
        ("128x64.poor.a8", 128, 64, 8.0),
        ("128x64.good.a8", 128, 64, 8.0),
    ] {
        let prediction = golden.f64(&format!("{case}.x_pred"));
        let dx = golden.f64(&format!("{case}.dx"));
        let size = case.split('.').next().unwrap();
        let truth = &data.f64(&format!("{size}.x_gt"))[..dx.len()];
        let heat = Operator::heat(nx, ny, amount).unwrap();
        let error: Vec<f64> = truth.iter().zip(&prediction).map(|(t, p)| t - p).collect();
        let mut signal = vec![0.0; dx.len()];
        Physics::<f64>::new(&heat).training_signal(&Method::Sip.into(), &error, None, &mut signal);
        let ours: Vec<f64> = signal.iter().map(|s| -s).collect();
        let poor = case.contains("poor");
        check(&format!("dx {case} f64"), relative(&ours, &dx), if poor { 1e-9 } else { 1e-6 });
        let error: Vec<f32> = truth.iter().zip(&prediction).map(|(&t, &p)| t as f32 - p as f32).collect();
        let mut signal = vec![0.0; dx.len()];
        Physics::<f32>::new(&heat).training_signal(&Method::Sip.into(), &error, None, &mut signal);
        let ours: Vec<f64> = signal.iter().map(|&s| f64::from(-s)).collect();
        check(&format!("dx {case} f32"), relative(&ours, &dx), if poor { 1e-6 } else { 5e-5 });
    }
}

#[test]
fn network_in_double_precision() {
    let (init, golden, net) = (Golden::open("unet_init"), Golden::open("unet_io"), net());
    let (params, mut running) = (init.params(&net, ""), init.buffers(&net, ""));
    let (input, gradient) = (golden.f64("input"), golden.f64("grad_output"));
    let mut network = Network::<f64>::new(&net, 4, 64, 64);
    let (mut output, mut gradients) = (vec![0.0; input.len()], vec![0.0; net.param_count]);
    network.forward(&params, &mut running, &input, &mut output);
    let mut input_gradient = output.clone();
    network.backward(&params, &input, &gradient, &mut gradients, Some(&mut input_gradient));
    check("output", relative(&output, &golden.f64("f64.output")), 1e-10);
    let (worst, _) = live_errors(&net, &gradients, &golden.params(&net, "f64.grad."));
    check("worst gradient", worst, 1e-10);
    check("outc.bias", relative(&[gradients[net.out_bias]], &golden.f64("f64.grad.outc.bias")), 1e-10);
    check("running", relative(&running, &golden.buffers(&net, "f64.after.")), 1e-10);
    // In samples 0 and 3 a ReLU near-tie of the golden gradient in 32 bits lies on the other side.
    let (golden, middle) = (golden.f64("f32.grad_input"), 4096..3 * 4096);
    check("input gradient", relative(&input_gradient[middle.clone()], &golden[middle]), 1e-4);
}

#[test]
fn network_in_single_precision() {
    let (init, golden, net) = (Golden::open("unet_init"), Golden::open("unet_io"), net());
    let narrow = |values: Vec<f64>| -> Vec<f32> { values.into_iter().map(|v| v as f32).collect() };
    let wide = |values: &[f32]| -> Vec<f64> { values.iter().map(|&v| f64::from(v)).collect() };
    let (params, mut running) = (narrow(init.params(&net, "")), narrow(init.buffers(&net, "")));
    let (input, gradient) = (narrow(golden.f64("input")), narrow(golden.f64("grad_output")));
    let mut network = fast::Network::new(&net, 4, 64, 64);
    let (mut output, mut gradients) = (vec![0.0; input.len()], vec![0.0; net.param_count]);
    network.forward(&params, &mut running, &input, &mut output);
    let mut exchange = |own: &[f32]| own.to_vec();
    let mut whole = Together { samples: 4, order: &[0], exchange: &mut exchange };
    network.backward_together(&params, &input, &gradient, &mut gradients, &mut whole);
    check("output", relative(&wide(&output), &golden.f64("f64.output")), 1e-5);
    check("running", relative(&wide(&running), &golden.buffers(&net, "f64.after.")), 1e-5);
    let (worst, all) = live_errors(&net, &wide(&gradients), &golden.params(&net, "f64.grad."));
    // The golden batch has near-ties of ReLUs. In 64 bits too, inputs that differ by 1e-6 move single
    // gradients by 5e-4 to 2e-2, those that differ by 1e-7 by 3e-6.
    check("worst gradient", worst, 1e-3);
    check("all gradients", all, 2e-4);
    let bias = golden.f64("f64.grad.outc.bias");
    check("outc.bias", relative(&[f64::from(gradients[net.out_bias])], &bias), 1e-4);
}

fn losses<N: Precision, P: Real>(method: Method, golden_kind: &str, tolerances: [f64; 3]) {
    let (init, golden, net) = (Golden::open("unet_init"), Golden::open("loss"), net());
    let heat = Operator::heat(64, 64, 8.0).unwrap();
    let spec = StepSpec::new(&net, &heat, method, 4);
    let mut step = Step::<N, P>::new(&spec, &State::new(&net, 0));
    step.params = init.params(&net, "").into_iter().map(N::of).collect();
    let losses = step.run(&Batch::fields(golden.f64("x_gt")));
    let prefix = format!("{}.{golden_kind}", method.name());
    for (name, values) in [("loss", &losses.loss), ("x_l2", &losses.x_l2), ("y_l2", &losses.y_l2)] {
        check(
            &format!("{prefix}{name}"),
            relative(values, &golden.f64(&format!("{prefix}{name}"))),
            tolerances[0],
        );
    }
    let gradients: Vec<f64> = step.gradients.iter().map(|g| g.f64()).collect();
    let (worst, together) = live_errors(&net, &gradients, &golden.params(&net, &format!("{prefix}grad.")));
    check(&format!("{prefix}worst gradient"), worst, tolerances[1]);
    check(&format!("{prefix}all gradients"), together, tolerances[2]);
}

#[test]
fn losses_and_gradients_in_double_precision() {
    for method in [Method::Sip, Method::Gd] {
        losses::<f64, f64>(method, "f64net.", [1e-9, 1e-9, 1e-9]);
    }
}

#[test]
fn losses_and_gradients_in_the_references_precisions() {
    for method in [Method::Sip, Method::Gd] {
        losses::<f32, f64>(method, "", [1e-5, 3e-3, 5e-4]);
    }
}

#[test]
fn losses_and_gradients_in_single_precision() {
    for method in [Method::Sip, Method::Gd] {
        losses::<f32, f32>(method, "", [1e-5, 3e-3, 5e-4]);
    }
}

#[test]
fn the_comparator_fails_on_perturbed_values() {
    let golden = Golden::open("diffuse").f64("64.y_amount8");
    let mut spoiled = golden.clone();
    spoiled[1000] *= 1.0 + 1e-3;
    assert!(relative(&spoiled, &golden) > 1e-7);
    assert!(std::panic::catch_unwind(|| check("NaN", f64::NAN, 1.0)).is_err());
    assert!(std::panic::catch_unwind(|| check("too large", 2.0, 1.0)).is_err());
}
