//! What the apps of a cost center may cost together.

use std::collections::BTreeMap;
use std::sync::Arc;

use dayfly_model::diagnostic::Diagnostic;
use dayfly_model::names::{AppName, TierName};
use dayfly_model::platform::Platform;
use dayfly_model::rule::Rule;

use super::Evaluated;

/// The cost centers whose apps may cost more, all together, than their tier allows.
pub(super) fn over_budget(tip: &Platform, instances: &BTreeMap<AppName, Arc<Evaluated>>) -> Vec<Diagnostic> {
    let mut costs: BTreeMap<(&TierName, &str), (f64, usize)> = BTreeMap::new();
    for evaluated in instances.values() {
        let app = tip.apps.get(&evaluated.app).and_then(|item| item.get());
        let (Some(app), Some(cost)) = (app, &evaluated.cost) else { continue };
        let (sum, apps) = costs.entry((&app.tier, &app.cost_center)).or_default();
        (*sum, *apps) = (*sum + cost.high, *apps + 1);
    }
    let over = costs.into_iter().filter_map(|((tier, cost_center), (sum, apps))| {
        let environment = tip.environments.get(tier)?.get()?;
        let limit = environment.budget.per_cost_center.filter(|limit| sum > *limit)?;
        let (field, currency) = ("spec.budget.perCostCenter", &environment.prices.currency);
        let apps = if apps == 1 { "one app".to_owned() } else { format!("{apps} apps") };
        let message =
            format!("{cost_center} may cost {sum:.2} {currency} a month with {apps} in {tier}, more than {limit}");
        let found = environment.spans.finding(Rule::BUDGET_COST_CENTER, field, message);
        Some(found.help("Retire or suspend an app of that cost center, let one ask for less, or raise the budget."))
    });
    over.collect()
}
