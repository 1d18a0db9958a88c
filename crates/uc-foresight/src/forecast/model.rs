//! The forecasting model: a linear part over lags, and an LSTM beside it that corrects it.

use uc_model::{Problem, Result};

use super::{
    Features, Forecast, LAGS, LEVELS, Quantiles, STATICS, TARGETS, Weights,
    lstm::{Lstm, add_products, transposed},
};

/// Numbers a model puts out: for each target a median and the distances between quantiles.
pub(crate) const OUTPUTS: usize = TARGETS * LEVELS.len();
/// Numbers of the linear part.
pub(crate) const LINEAR_INPUTS: usize = LAGS.len() + STATICS;
/// Cells of an LSTM that are accepted at most: more than any that is quick enough.
const MOST_CELLS: usize = 512;

/// Which model weights are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModelKind {
    /// The linear part alone.
    Linear,
    /// The linear part and an LSTM.
    Lstm,
}

impl ModelKind {
    /// Its name in files and tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Linear => "linear quantile regression",
            Self::Lstm => "LSTM",
        }
    }
}

/// A model that is ready to forecast.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    lstm: Option<Lstm>,
    from_hidden: Vec<f32>,
    from_linear: Vec<f32>,
    bias: Vec<f32>,
}

/// The weights of this release.
static SHIPPED: &[u8] = include_bytes!("../../weights/memory.safetensors");

impl Model {
    /// The model of this release.
    ///
    /// # Errors
    /// Never with a sound build; a test loads it.
    pub fn shipped() -> Result<Self> {
        Self::read(SHIPPED)
    }

    /// Reads a model from the bytes of a safetensors file.
    ///
    /// # Errors
    /// When the weights are corrupt, or of another model.
    pub fn read(bytes: &[u8]) -> Result<Self> {
        Self::of(&Weights::read(bytes)?)
    }

    /// The model of some weights.
    ///
    /// # Errors
    /// When tensors are missing or have other shapes.
    pub fn of(weights: &Weights) -> Result<Self> {
        let lstm = weights.tensors.get("lstm.weight_hh_l0");
        let hidden = lstm
            .and_then(|tensor| tensor.shape.get(1))
            .copied()
            .unwrap_or(0);
        if hidden > MOST_CELLS {
            return Err(Problem::invalid("the model has too many cells")
                .at("lstm.weight_hh_l0")
                .limit(MOST_CELLS)
                .found(hidden));
        }
        let from_hidden = match hidden {
            0 => Vec::new(),
            _ => transposed(weights.tensor("head.hidden", &[OUTPUTS, hidden])?, hidden),
        };
        Ok(Self {
            lstm: lstm.map(|_| Lstm::of(weights, hidden)).transpose()?,
            from_hidden,
            from_linear: transposed(
                weights.tensor("head.linear", &[OUTPUTS, LINEAR_INPUTS])?,
                LINEAR_INPUTS,
            ),
            bias: weights.tensor("head.bias", &[OUTPUTS])?.to_vec(),
        })
    }

    /// Which kind it is.
    pub fn kind(&self) -> ModelKind {
        if self.lstm.is_some() {
            ModelKind::Lstm
        } else {
            ModelKind::Linear
        }
    }

    /// The forecast for a series.
    pub fn forecast(&self, features: &Features) -> Forecast {
        let mut outputs = self.bias.clone();
        add_products(&mut outputs, &features.linear(), &self.from_linear);
        if let Some(lstm) = &self.lstm {
            add_products(&mut outputs, &lstm.run(&features.steps), &self.from_hidden);
        }
        let target = |index: usize| {
            let outputs = &outputs[index * LEVELS.len()..(index + 1) * LEVELS.len()];
            Quantiles(
                in_order(outputs).map(|units| (features.anchor + units * features.unit).max(0.0)),
            )
        };
        Forecast {
            middle: target(0),
            end: target(1),
            peak: target(2),
        }
    }
}

/// Outputs as quantiles: a median, and distances that cannot be negative, so that quantiles never cross.
fn in_order(outputs: &[f32]) -> [f64; LEVELS.len()] {
    let output = |index: usize| f64::from(outputs[index]);
    let distance = |index: usize| softplus(output(index));
    let median = output(2);
    let (upper, lower) = (median + distance(3), median - distance(1));
    [
        lower - distance(0),
        lower,
        median,
        upper,
        upper + distance(4),
    ]
}

fn softplus(x: f64) -> f64 {
    if x > 30.0 { x } else { x.exp().ln_1p() }
}
