//! What the observer sees of fields that are drawn, and what the networks make of that.

use crate::experiment::Experiment;
use crate::failure::thrown;
use js_sys::{Float32Array, Object, Reflect};
use unheat::cpu::heat::physics::Physics;
use unheat::cpu::heat::rasterise::rasterise;
use unheat::model::Operator;
use unheat::model::operator::factor::Factor;
use unheat::model::rectangles::draw;
use unheat::model::rng::Purpose;
use unheat::{Error, Result};
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

#[wasm_bindgen]
impl Experiment {
    /// The field `[nx, ny]` observed through `amount` of diffusion, in cells².
    ///
    /// # Errors
    /// Of the kind "usage" for a field of another size and an impossible amount.
    pub fn observe(&self, field: &[f32], amount: f64) -> std::result::Result<Vec<f32>, JsValue> {
        let Operator { nx, ny, .. } = self.operator;
        let operator = Operator::heat(nx, ny, amount).map_err(thrown)?;
        observed(&operator, field).map_err(thrown)
    }

    /// The field `[nx, ny]` behind a `part` from 0 to 1 of what the observer does: of heat conduction that
    /// part of its amount, of anything else so much of the way to the observation.
    ///
    /// # Errors
    /// Of the kind "usage" for a field of another size.
    pub fn fade(&self, field: &[f32], part: f64) -> std::result::Result<Vec<f32>, JsValue> {
        faded(&self.operator, field, part.clamp(0.0, 1.0)).map_err(thrown)
    }

    /// Random rectangles as those of training, a field `[nx, ny]` that no training sees; another one for
    /// every `number`.
    pub fn rectangles(&self, number: u32) -> Vec<f32> {
        let Operator { nx, ny, .. } = self.operator;
        // Step 0 of the examples is what networks are told to be trained for.
        let drawn = draw(Purpose::Examples, u64::from(number), 1, 0, nx, ny);
        let mut field = vec![0.0; nx * ny];
        rasterise(&drawn, nx, ny, &mut field);
        field
    }

    /// What the observer sees of a field `[nx, ny]`, and what every network makes of that: an object with
    /// observation and predictions.
    ///
    /// # Errors
    /// Of the kind "usage" for a field of another size, of the kind "device" where the device is lost.
    pub async fn predict(&mut self, field: Vec<f32>) -> std::result::Result<Object, JsValue> {
        let observation = observed(&self.operator, &field).map_err(thrown)?;
        let (found, predictions) = (Object::new(), Object::new());
        // As `unheat reconstruct --same-units` does: what is drawn is as hot as what the networks train on.
        for training in &mut self.trainings {
            let prediction = training.predict(&observation).await.map_err(thrown)?;
            let array = Float32Array::from(prediction.as_slice());
            Reflect::set(&predictions, &training.method.name().into(), &array)?;
        }
        Reflect::set(&found, &"observation".into(), &Float32Array::from(observation.as_slice()))?;
        Reflect::set(&found, &"predictions".into(), &predictions)?;
        Ok(found)
    }
}

/// y = P(x) for one field `[nx, ny]`.
fn observed(operator: &Operator, field: &[f32]) -> Result<Vec<f32>> {
    let (found, wanted) = (field.len(), operator.cells());
    if found != wanted {
        return Err(Error::usage(format!("a field of {found} numbers: it must have {wanted}")));
    }
    if field.iter().any(|value| !value.is_finite()) {
        return Err(Error::usage("a field with a number that is not finite"));
    }
    let field: Vec<f64> = field.iter().map(|&value| f64::from(value)).collect();
    let mut observation = vec![0.0; wanted];
    Physics::<f64>::new(operator).diffuse(&field, &mut observation);
    Ok(observation.into_iter().map(|value| value as f32).collect())
}

/// The field behind a part of what `operator` does.
fn faded(operator: &Operator, field: &[f32], part: f64) -> Result<Vec<f32>> {
    let Operator { nx, ny, .. } = *operator;
    if let &[Factor::Heat(amounts)] = operator.factors() {
        let some = Operator::of(nx, ny, &[Factor::Heat(amounts.map(|amount| part * amount))])?;
        return observed(&some, field);
    }
    let observation = observed(operator, field)?;
    let mix = |(x, y): (&f32, f32)| x + part as f32 * (y - x);
    Ok(field.iter().zip(observation).map(mix).collect())
}
