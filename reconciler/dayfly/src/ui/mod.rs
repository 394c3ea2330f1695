//! What people and scripts see. The order is one-way: `style` colors a piece of text; `report`, `pass` and `preview` make
//! text of values; `output` writes it, and is the only module that prints.

pub mod output;
pub mod pass;
pub mod preview;
pub mod report;
pub mod style;
