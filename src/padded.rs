//! Values that several threads write.

/// On cache lines of its own: whoever reads what stands beside it does not wait for those who write it.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Padded<T>(pub(crate) T);
