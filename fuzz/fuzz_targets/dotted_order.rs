//! Whatever is no dotted order is refused, and whatever is one prints back as it was.
#![no_main]

use libfuzzer_sys::fuzz_target;
use opentelemetry_langsmith::DottedOrder;

fuzz_target!(|text: &str| {
    let Ok(order) = text.parse::<DottedOrder>() else { return };
    assert_eq!(order.to_string(), text);
    assert_eq!(order.parent().map(|parent| parent.id()), order.parent_id());
    assert!(order.parent().is_none_or(|parent| parent.start_time() <= order.start_time()));
    assert!(order.child(order.id(), order.start_time()).is_none(), "a run stands under itself");
});
