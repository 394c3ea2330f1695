//! What may run: a template becomes objects, policies decide, costs are counted, and the verdict says what is admitted.
//! Pure, and the only crate that knows Tera and Rego.
#![deny(missing_docs)]

pub mod cost;
pub mod evaluate;
pub mod policy;
pub mod render;
