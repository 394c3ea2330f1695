//! What people see: the only module that prints, and the tables it prints.

pub mod output;
pub mod report;
