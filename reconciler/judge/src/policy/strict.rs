//! Notices when a builtin fails. The machine takes a failure for undefined, so a condition that fails would admit.
//!
//! Each builtin of a program is replaced by one that calls it and remembers its failure. The machine takes plain functions
//! only, so what they call stands in a variable of the thread.

use std::cell::RefCell;
use std::sync::Arc;

use regorus::Value;
use regorus::rvm::Program;
use regorus::unstable::{BuiltinFcn, Expr, Ref, Span};

/// The builtins of a program, as they were.
pub type Builtins = Arc<[BuiltinFcn]>;

/// How many builtins one set of policies may use.
pub const MAX: usize = SLOTS.len();

struct WatchedCalls {
    builtins: Builtins,
    failure: Option<String>,
}

thread_local! {
    static WATCHED: RefCell<Option<WatchedCalls>> = const { RefCell::new(None) };
}

/// Puts the functions that notice in place of a program's builtins. None if there are more than [`MAX`].
pub fn watch(program: &mut Program) -> Option<Builtins> {
    let builtins: Builtins = program.resolved_builtins.clone().into();
    for (index, builtin) in program.resolved_builtins.iter_mut().enumerate() {
        builtin.0 = *SLOTS.get(index)?;
    }
    Some(builtins)
}

/// Runs something that calls these builtins. Returns the first failure besides.
pub fn watched<T>(builtins: &Builtins, run: impl FnOnce() -> T) -> (T, Option<String>) {
    WATCHED.set(Some(WatchedCalls { builtins: builtins.clone(), failure: None }));
    let result = run();
    (result, WATCHED.take().and_then(|calls| calls.failure))
}

type Builtin = fn(&Span, &[Ref<Expr>], &[Value], bool) -> anyhow::Result<Value>;

fn slot<const N: usize>(span: &Span, names: &[Ref<Expr>], values: &[Value], _: bool) -> anyhow::Result<Value> {
    let builtin = WATCHED.with_borrow(|calls| calls.as_ref().and_then(|calls| calls.builtins.get(N).copied()));
    let Some((builtin, _)) = builtin else { anyhow::bail!("the builtin is unknown") };
    builtin(span, names, values, true).inspect_err(|error| {
        WATCHED.with_borrow_mut(|calls| {
            if let Some(calls) = calls {
                calls.failure.get_or_insert_with(|| error.to_string());
            }
        });
    })
}

macro_rules! slots {
    ($($n:literal)*) => { [$(slot::<$n>),*] };
}

const SLOTS: [Builtin; 64] = slots!(
    0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31
    32 33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 57 58 59 60 61 62 63
);
