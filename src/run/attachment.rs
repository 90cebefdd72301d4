//! Files that belong to a run.

/// A file that belongs to a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Attachment {
    /// Without `.`, which separates the words of a part's name.
    pub(crate) name: String,
    pub(crate) mime_type: String,
    pub(crate) content: Vec<u8>,
}

/// Adds a file that a message refers to, so that it keeps its name: one that has it gets another.
pub(crate) fn add_referred(attachments: &mut Vec<Attachment>, attachment: Attachment) {
    if let Some(other) = attachments.iter().position(|other| other.name == attachment.name) {
        attachments[other].name = free_name(attachments, attachment.name.clone());
    }
    attachments.push(attachment);
}

/// A name that no other file has: this one, or with a number behind it.
pub(crate) fn free_name(attachments: &[Attachment], name: String) -> String {
    let taken = |name: &str| attachments.iter().any(|other| other.name == name);
    // Where there are many they are numbered through, so that none of them is searched for long.
    let first = if attachments.len() < 100 { 2 } else { attachments.len() };
    std::iter::once(name.clone())
        .chain((first..first + 10_000).map(|number| format!("{name}_{number}")))
        .find(|name| !taken(name))
        .unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_name_that_a_message_refers_to() {
        let mut attachments = Vec::new();
        let file = |name: &str, content| Attachment { name: name.into(), mime_type: "image/png".into(), content };
        add_referred(&mut attachments, file("input_1_image", vec![1]));
        let referred = file("input_1_image", vec![2]);
        add_referred(&mut attachments, referred.clone());
        assert_eq!(attachments[1], referred);
        assert_eq!((attachments[0].name.as_str(), &*attachments[0].content), ("input_1_image_2", &[1][..]));
    }
}
