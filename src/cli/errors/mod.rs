//! How commands end, and what is advised where they cannot do what is asked.

pub(super) mod advice;
pub(super) mod mistakes;
pub(super) mod outcome;
