//! Judgements on a restoration: whether it can be right, and how much can be known.

pub mod amount;
pub mod check;
pub mod uncertainty;
