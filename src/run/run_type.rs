use std::fmt;
use std::str::FromStr;

/// What kind of work a run is. LangSmith knows these seven.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum RunType {
    /// Steps that belong together; also what fits nothing else.
    #[default]
    Chain,
    /// A call of a language model. Only these are priced by their tokens.
    Llm,
    /// A tool that a model called.
    Tool,
    /// A search for documents.
    Retriever,
    /// A call of an embedding model.
    Embedding,
    /// The filling-in of a prompt template.
    Prompt,
    /// The reading of a model's answer.
    Parser,
}

impl RunType {
    /// In the order they are declared in.
    pub(crate) const ALL: [Self; 7] =
        [Self::Chain, Self::Llm, Self::Tool, Self::Retriever, Self::Embedding, Self::Prompt, Self::Parser];

    /// LangSmith's word for it, in lower case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Chain => "chain",
            Self::Llm => "llm",
            Self::Tool => "tool",
            Self::Retriever => "retriever",
            Self::Embedding => "embedding",
            Self::Prompt => "prompt",
            Self::Parser => "parser",
        }
    }
}

impl fmt::Display for RunType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text is none of the seven run types.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no run type; use chain, llm, tool, retriever, embedding, prompt or parser")]
pub struct ParseRunTypeError(String);

impl FromStr for RunType {
    type Err = ParseRunTypeError;

    /// Takes LangSmith's words in any case.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|run_type| text.eq_ignore_ascii_case(run_type.as_str()))
            .ok_or_else(|| ParseRunTypeError(text.into()))
    }
}
