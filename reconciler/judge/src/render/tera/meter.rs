//! The limits of one rendering, and the functions and filters that Tera is given.
//!
//! Work is counted in units of about a microsecond at most; one rendering has [`FUEL`] of them. A loop pays for its turns
//! before the first, a file when it starts; both pay more where the values at hand are large. No text that an expression
//! works on is longer than what the rendering was given, or 16 KiB.

use std::cell::RefCell;

use dayfly_model::digest::Digest;
use serde_json::Value as Json;
use tera::{Error, Kwargs, State, Tera, TeraResult, Value};

use super::source::HOLE;

/// The work of one rendering; a usual template takes a few hundred.
const FUEL: u64 = 4_000_000;

/// Bytes of text that one file may make, static text and values together.
pub const MAX_OUTPUT: usize = 4 << 20;

/// The longest text that an expression may make from shorter ones.
const MAX_TEXT: u64 = 16 << 10;

/// The most that `range` and `split` make.
const MAX_ITEMS: usize = 1000;

/// What a rule says about a rendering that was stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Too much work.
    Work,
    /// Too much text.
    Text,
    /// A name that nothing defines.
    Undefined,
    /// A list or a map where a text is needed.
    Shape,
}

struct Meter {
    fuel: u64,
    limit: u64,
    output: usize,
    holes: Vec<Json>,
    stop: Option<Stop>,
}

thread_local! {
    static METER: RefCell<Meter> = const { RefCell::new(Meter { fuel: 0, limit: 0, output: 0, holes: Vec::new(), stop: None }) };
}

/// Starts a rendering that is given this many bytes of values.
pub fn start(given: usize) {
    METER.with_borrow_mut(|meter| {
        *meter = Meter { fuel: FUEL, limit: MAX_TEXT.max(given as u64), output: 0, holes: vec![], stop: None };
    });
}

/// The values of the file that was rendered, by the number of their hole; the next file begins with none.
pub fn take_holes() -> Vec<Json> {
    METER.with_borrow_mut(|meter| {
        meter.output = 0;
        std::mem::take(&mut meter.holes)
    })
}

/// Why the rendering was stopped, if the meter did it.
pub fn stopped() -> Option<Stop> {
    METER.with_borrow_mut(|meter| meter.stop.take())
}

/// A Tera with the functions and filters of templates, and no templates yet.
pub fn tera() -> Tera {
    let mut tera = Tera::default();
    tera.autoescape_on(Vec::<&str>::new());
    tera.register_filter("__start", |work: u64, _: Kwargs, _: &State| work_on(work, 1).map(|()| String::new()));
    tera.register_filter("__each", each);
    tera.register_filter("__keep", keep);
    tera.register_filter("__truth", truth);
    tera.register_filter("__hole", hole);
    tera.register_filter("digest", |text: &str, _: Kwargs, _: &State| Digest::of(text.as_bytes()).short());
    tera.register_filter("join", join);
    tera.register_filter("json", json);
    tera.register_filter("replace", replace);
    tera.register_filter("split", split);
    tera.register_function("range", range);
    tera
}

fn stop(meter: &mut Meter, stop: Stop, message: impl ToString) -> Error {
    meter.stop = Some(stop);
    Error::message(message)
}

/// Pays for so much work, so many times.
fn work_on(work: u64, times: u64) -> TeraResult<()> {
    METER.with_borrow_mut(|meter| {
        let cost = work.saturating_mul(times).saturating_mul(1 + meter.limit / 4096);
        match meter.fuel.checked_sub(cost) {
            Some(fuel) => {
                meter.fuel = fuel;
                Ok(())
            }
            None => Err(stop(meter, Stop::Work, "the template does more work than one rendering may")),
        }
    })
}

/// Refuses a text that is longer than what an expression may make.
fn bounded(length: usize) -> TeraResult<()> {
    work_on(length as u64 / 4096, 1)?;
    METER.with_borrow_mut(|meter| match length as u64 > meter.limit {
        true => Err(stop(meter, Stop::Text, "the template makes a text longer than what it is given")),
        false => Ok(()),
    })
}

fn each(items: Value, kwargs: Kwargs, _: &State) -> TeraResult<Value> {
    defined(&items)?;
    work_on(kwargs.must_get("work")?, 1 + items.len().unwrap_or(0) as u64)?;
    Ok(items)
}

fn keep(value: Value, _: Kwargs, _: &State) -> TeraResult<Value> {
    let limit = METER.with_borrow(|meter| meter.limit);
    bounded(weigh(&value, limit as usize + 1))?;
    Ok(value)
}

fn truth(value: Value, _: Kwargs, _: &State) -> TeraResult<Value> {
    defined(&value)?;
    Ok(value)
}

fn defined(value: &Value) -> TeraResult<()> {
    match value.is_undefined() {
        true => METER.with_borrow_mut(|meter| Err(stop(meter, Stop::Undefined, "is not defined"))),
        false => Ok(()),
    }
}

/// The size of a value, counted no further than the limit.
fn weigh(value: &Value, limit: usize) -> usize {
    let mut size = 16 + value.as_str().map_or(0, str::len);
    let parts: Box<dyn Iterator<Item = (usize, &Value)>> = match (value.as_array(), value.as_map()) {
        (Some(items), _) => Box::new(items.iter().map(|item| (0, item))),
        (_, Some(map)) => Box::new(map.iter().map(|(key, item)| (key.as_str().map_or(16, str::len), item))),
        _ => return size,
    };
    for (key, part) in parts {
        if size >= limit {
            break;
        }
        size += key + weigh(part, limit - size);
    }
    size
}

/// Keeps a value aside and leaves a hole of its number in the text.
fn hole(value: Value, _: Kwargs, _: &State) -> TeraResult<Value> {
    defined(&value)?;
    METER.with_borrow_mut(|meter| {
        if value.is_array() || value.is_map() || value.is_bytes() {
            let shape = if value.is_map() { "map" } else { "list" };
            return Err(stop(meter, Stop::Shape, format!("is a {shape}, and only one value can stand here")));
        }
        let value = scalar(&value);
        meter.output += value.as_str().map_or(0, str::len);
        if meter.output > MAX_OUTPUT {
            return Err(stop(meter, Stop::Text, "the template makes more text than one file may"));
        }
        meter.holes.push(value);
        let [open, close] = HOLE;
        Ok(Value::from(format!("{open}{}{close}", meter.holes.len() - 1)))
    })
}

fn scalar(value: &Value) -> Json {
    if let Some(text) = value.as_str() {
        return text.into();
    }
    if value.is_none() {
        return Json::Null;
    }
    let number = || value.as_i64().map(Json::from).or_else(|| value.as_u64().map(Json::from));
    let number = || number().or_else(|| value.as_f64().map(Json::from));
    value.as_bool().map(Json::from).or_else(number).unwrap_or_else(|| value.to_string().into())
}

fn join(items: Vec<Value>, kwargs: Kwargs, _: &State) -> TeraResult<String> {
    let separator = kwargs.get::<&str>("sep")?.unwrap_or_default();
    let mut text = String::new();
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            text.push_str(separator);
        }
        text.push_str(&item.to_string());
        bounded(text.len())?;
    }
    Ok(text)
}

/// Compact JSON, with the keys of maps in their order.
fn json(value: Value, _: Kwargs, _: &State) -> TeraResult<String> {
    defined(&value)?;
    let text = serde_json::to_string(&value).map_err(Error::message)?;
    work_on(text.len() as u64 / 4096, 1)?;
    Ok(text)
}

fn replace(text: &str, kwargs: Kwargs, _: &State) -> TeraResult<String> {
    let (from, to) = (kwargs.must_get::<&str>("from")?, kwargs.must_get::<&str>("to")?);
    if from.is_empty() {
        return Err(Error::message("replace: from is empty"));
    }
    bounded(text.len().saturating_add(text.matches(from).count().saturating_mul(to.len())))?;
    Ok(text.replace(from, to))
}

fn split(text: &str, kwargs: Kwargs, _: &State) -> TeraResult<Vec<String>> {
    let separator = kwargs.must_get::<&str>("pat")?;
    let parts: Vec<_> = text.split(separator).take(MAX_ITEMS + 1).map(str::to_owned).collect();
    match parts.len() > MAX_ITEMS {
        true => Err(Error::message(format!("split: more than {MAX_ITEMS} parts"))),
        false => Ok(parts),
    }
}

fn range(kwargs: Kwargs, _: &State) -> TeraResult<Vec<i64>> {
    let (first, end) = (kwargs.get::<i64>("start")?.unwrap_or(0), kwargs.must_get::<i64>("end")?);
    let step = kwargs.get::<i64>("step_by")?.unwrap_or(1);
    if step < 1 {
        return Err(Error::message("range: step_by is below 1"));
    }
    let numbers: Vec<_> =
        (first..end).step_by(usize::try_from(step).unwrap_or(usize::MAX)).take(MAX_ITEMS + 1).collect();
    match numbers.len() > MAX_ITEMS {
        true => {
            METER.with_borrow_mut(|meter| Err(stop(meter, Stop::Work, format!("range: more than {MAX_ITEMS} numbers"))))
        }
        false => Ok(numbers),
    }
}

/// The bytes of all texts in a value, for [`start`].
pub fn size_of(value: &Value) -> usize {
    weigh(value, usize::MAX)
}
