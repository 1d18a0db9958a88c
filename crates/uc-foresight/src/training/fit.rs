//! Fitting: pinball loss, AdamW, a learning rate that falls along a cosine.

use std::collections::BTreeMap;

use candle_core::{D, DType, Device, Result as CandleResult, Tensor as Array, Var};
use candle_nn::{
    AdamW, LSTM, LSTMConfig, Optimizer, ParamsAdamW, RNN, VarBuilder, VarMap, rnn::Direction,
};
use uc_model::{Problem, Result};

use super::Example;
use crate::forecast::{
    LEVELS, LOOKBACK_STEPS, ModelKind, STEP_INPUTS, TARGETS, Tensor, Weights,
    model::{LINEAR_INPUTS, OUTPUTS},
};

/// Truths further out than this many units are drawn in, lest a few wild ones drown the rest.
const FURTHEST_UNITS: f64 = 20.0;

/// How to train.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrainingOptions {
    /// Which model.
    pub kind: ModelKind,
    /// Cells of the LSTM.
    pub cells: usize,
    /// Passes over the examples.
    pub epochs: usize,
    /// Examples for each step.
    pub batch: usize,
    /// The highest learning rate.
    pub rate: f64,
    /// Seed of the first weights and of the order of examples.
    pub seed: u64,
}

impl Default for TrainingOptions {
    fn default() -> Self {
        Self {
            kind: ModelKind::Lstm,
            cells: 32,
            epochs: 6,
            batch: 256,
            rate: 4e-3,
            seed: 1,
        }
    }
}

/// How far training is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// Steps done.
    pub step: usize,
    /// Steps in all.
    pub steps: usize,
    /// Mean pinball loss of the last steps, in units of the series' movement.
    pub loss: f64,
}

/// Trains a model. The same examples and options make the same weights on the same machine.
///
/// # Errors
/// When there is nothing to learn from, the loss is no longer a number, or the framework fails.
pub fn train(
    examples: &[Example],
    options: &TrainingOptions,
    report: &mut dyn FnMut(Progress),
) -> Result<Weights> {
    if examples.len() < options.batch {
        return Err(Problem::invalid("too few examples to train on")
            .limit(format!("at least {}", options.batch))
            .found(examples.len())
            .remedy("give longer traces"));
    }
    let mut random = fastrand::Rng::with_seed(options.seed);
    let failed = |error: candle_core::Error| Problem::internal("training failed").caused_by(error);
    let network = Network::new(options, &mut random).map_err(failed)?;
    let parameters = ParamsAdamW {
        lr: options.rate,
        weight_decay: 1e-4,
        ..ParamsAdamW::default()
    };
    let mut optimizer = AdamW::new(network.variables(), parameters).map_err(failed)?;
    let mut order: Vec<usize> = (0..examples.len()).collect();
    let steps = examples.len() / options.batch * options.epochs;
    let mut loss = f64::NAN;
    for step in 0..steps {
        let at = step % (examples.len() / options.batch);
        if at == 0 {
            random.shuffle(&mut order);
        }
        optimizer.set_learning_rate(rate_at(options.rate, step, steps));
        let chosen = &order[at * options.batch..(at + 1) * options.batch];
        let batch = Batch::of(chosen.iter().map(|index| &examples[*index])).map_err(failed)?;
        let now = network.learn(&batch, &mut optimizer).map_err(failed)?;
        if !now.is_finite() {
            return Err(Problem::internal("training diverged")
                .at(format!("step {step}"))
                .remedy("use a lower learning rate"));
        }
        loss = if loss.is_nan() {
            now
        } else {
            0.98 * loss + 0.02 * now
        };
        report(Progress {
            step: step + 1,
            steps,
            loss,
        });
    }
    network
        .weights(options, examples.len(), loss)
        .map_err(failed)
}

/// Rises over the first twentieth, then falls along a cosine to a hundredth.
fn rate_at(highest: f64, step: usize, steps: usize) -> f64 {
    let progress = step as f64 / steps.max(1) as f64;
    let warm = (progress * 20.0).min(1.0);
    highest * warm * (0.01 + 0.99 * 0.5 * (1.0 + (std::f64::consts::PI * progress).cos()))
}

/// A batch as arrays.
struct Batch {
    steps: Array,
    linear: Array,
    truth: Array,
    count: usize,
}

impl Batch {
    fn of<'a>(examples: impl Iterator<Item = &'a Example>) -> CandleResult<Self> {
        let (mut steps, mut linear, mut truth) =
            (Vec::<f32>::new(), Vec::<f32>::new(), Vec::<f32>::new());
        let mut count = 0;
        for example in examples {
            let features = &example.features;
            steps.extend(features.steps.iter().flatten());
            linear.extend(features.linear());
            truth.extend(example.truth.map(|bytes| {
                ((bytes - features.anchor) / features.unit).clamp(-FURTHEST_UNITS, FURTHEST_UNITS)
                    as f32
            }));
            count += 1;
        }
        Ok(Self {
            steps: Array::from_vec(steps, (count, LOOKBACK_STEPS, STEP_INPUTS), &Device::Cpu)?,
            linear: Array::from_vec(linear, (count, LINEAR_INPUTS), &Device::Cpu)?,
            truth: Array::from_vec(truth, (count, TARGETS, 1), &Device::Cpu)?,
            count,
        })
    }
}

struct Network {
    variables: VarMap,
    lstm: Option<LSTM>,
    hidden: Option<Var>,
    linear: Var,
    bias: Var,
    levels: Array,
}

impl Network {
    fn new(options: &TrainingOptions, random: &mut fastrand::Rng) -> CandleResult<Self> {
        let variables = VarMap::new();
        let builder = VarBuilder::from_varmap(&variables, DType::F32, &Device::Cpu);
        let has_lstm = options.kind == ModelKind::Lstm;
        let lstm = has_lstm
            .then(|| {
                LSTM::new(
                    STEP_INPUTS,
                    options.cells,
                    LSTMConfig {
                        direction: Direction::Forward,
                        ..LSTMConfig::default()
                    },
                    builder.pp("lstm"),
                )
            })
            .transpose()?;
        let bound = 1.0 / (options.cells as f32).sqrt();
        draw_weights(&variables, bound, random)?;
        let hidden = has_lstm
            .then(|| Var::from_tensor(&uniform(&[OUTPUTS, options.cells], bound, random)?))
            .transpose()?;
        Ok(Self {
            variables,
            lstm,
            hidden,
            linear: Var::zeros((OUTPUTS, LINEAR_INPUTS), DType::F32, &Device::Cpu)?,
            bias: Var::zeros(OUTPUTS, DType::F32, &Device::Cpu)?,
            levels: Array::from_vec(
                LEVELS.map(|level| level as f32).to_vec(),
                (1, 1, LEVELS.len()),
                &Device::Cpu,
            )?,
        })
    }

    fn variables(&self) -> Vec<Var> {
        let mut variables = self.variables.all_vars();
        variables.extend(self.hidden.clone());
        variables.extend([self.linear.clone(), self.bias.clone()]);
        variables
    }

    fn quantiles(&self, batch: &Batch) -> CandleResult<Array> {
        let mut outputs = batch
            .linear
            .matmul(&self.linear.t()?)?
            .broadcast_add(&self.bias)?;
        if let (Some(lstm), Some(hidden)) = (&self.lstm, &self.hidden) {
            let states = lstm.seq(&batch.steps)?;
            if let Some(last) = states.last() {
                outputs = (outputs + last.h().matmul(&hidden.t()?)?)?;
            }
        }
        let outputs = outputs.reshape((batch.count, TARGETS, LEVELS.len()))?;
        let output = |index: usize| outputs.narrow(D::Minus1, index, 1);
        let distance = |index: usize| softplus(&output(index)?);
        let median = output(2)?;
        let (upper, lower) = ((&median + distance(3)?)?, (&median - distance(1)?)?);
        let (highest, lowest) = ((&upper + distance(4)?)?, (&lower - distance(0)?)?);
        Array::cat(&[lowest, lower, median, upper, highest], D::Minus1)
    }

    fn learn(&self, batch: &Batch, optimizer: &mut AdamW) -> CandleResult<f64> {
        let short = batch.truth.broadcast_sub(&self.quantiles(batch)?)?;
        let under = short.broadcast_mul(&self.levels)?;
        let over = short.broadcast_mul(&self.levels.affine(1.0, -1.0)?)?;
        let loss = under.maximum(&over)?.mean_all()?;
        optimizer.backward_step(&loss)?;
        Ok(f64::from(loss.to_scalar::<f32>()?))
    }

    fn weights(
        &self,
        options: &TrainingOptions,
        examples: usize,
        loss: f64,
    ) -> CandleResult<Weights> {
        let mut tensors = BTreeMap::new();
        for (name, variable) in self
            .variables
            .data()
            .lock()
            .iter()
            .flat_map(|map| map.iter())
        {
            tensors.insert(name.clone(), tensor(variable)?);
        }
        if let Some(hidden) = &self.hidden {
            tensors.insert("head.hidden".into(), tensor(hidden)?);
        }
        tensors.insert("head.linear".into(), tensor(&self.linear)?);
        tensors.insert("head.bias".into(), tensor(&self.bias)?);
        let words = [
            ("kind", options.kind.name().to_owned()),
            ("examples", examples.to_string()),
            ("epochs", options.epochs.to_string()),
            ("seed", options.seed.to_string()),
            ("loss", format!("{loss:.5}")),
        ];
        Ok(Weights {
            tensors,
            words: words
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value))
                .collect(),
        })
    }
}

/// The framework's own first weights are drawn from the system's randomness; these are drawn from ours, in order of names.
fn draw_weights(variables: &VarMap, bound: f32, random: &mut fastrand::Rng) -> CandleResult<()> {
    let variables = variables
        .data()
        .lock()
        .map(|map| map.clone())
        .unwrap_or_default();
    let ordered: BTreeMap<String, Var> = variables.into_iter().collect();
    for variable in ordered.values() {
        variable.set(&uniform(variable.dims(), bound, random)?)?;
    }
    Ok(())
}

fn uniform(shape: &[usize], bound: f32, random: &mut fastrand::Rng) -> CandleResult<Array> {
    let count = shape.iter().product();
    let values = (0..count)
        .map(|_| bound * (2.0 * random.f32() - 1.0))
        .collect();
    Array::from_vec(values, shape, &Device::Cpu)
}

/// `ln(1 + e^x)` without overflow: the greater of `x` and 0, and a correction.
fn softplus(x: &Array) -> CandleResult<Array> {
    x.relu()? + x.abs()?.neg()?.exp()?.affine(1.0, 1.0)?.log()?
}

fn tensor(variable: &Var) -> CandleResult<Tensor> {
    Ok(Tensor {
        shape: variable.dims().to_vec(),
        values: variable.flatten_all()?.to_vec1()?,
    })
}
