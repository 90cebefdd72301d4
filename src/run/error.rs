use super::RunId;

/// Why a [`RunBuilder`](crate::RunBuilder) gave no run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The name is empty, has a NUL in it or is longer than 128 characters.
    #[error("the name {0:?}… cannot be taken: a run's name has 1 to 128 characters and no NUL")]
    Name(String),
    /// A value could not become JSON.
    #[error("{field} cannot be written as JSON: {reason}")]
    Json {
        /// The field of the run.
        field: &'static str,
        /// What its `Serialize` said.
        reason: String,
    },
    /// The id is that of an ancestor too.
    #[error("the run's id {0} is also the id of an ancestor; a run cannot stand under itself")]
    OwnAncestor(RunId),
}
