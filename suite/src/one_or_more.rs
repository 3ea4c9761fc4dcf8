//! One value or a list of them, in files that people write.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::{SeqAccessDeserializer, StrDeserializer};
use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};

/// Written as `"a"` or as `["a", "b"]`; never empty. One is written without
/// its brackets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OneOrMore<T>(Vec<T>);

impl<T> OneOrMore<T> {
    /// All of them, in the order in which they were written.
    pub fn as_slice(&self) -> &[T] {
        &self.0
    }
}

impl<T> From<T> for OneOrMore<T> {
    fn from(one: T) -> Self {
        Self(vec![one])
    }
}

/// `a`, `a or b`, `a, b or c`.
impl<T: fmt::Display> fmt::Display for OneOrMore<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let last = self.0.len() - 1;
        for (index, item) in self.0.iter().enumerate() {
            let before = match index {
                0 => "",
                index if index == last => " or ",
                _ => ", ",
            };
            write!(f, "{before}{item}")?;
        }
        Ok(())
    }
}

impl<T: Serialize> Serialize for OneOrMore<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0[..] {
            [one] => one.serialize(serializer),
            more => more.serialize(serializer),
        }
    }
}

/// Not by an untagged enum, whose errors do not say what was wrong.
impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOrMore<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Either<T> {
            type Value = OneOrMore<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a list of texts")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                T::deserialize(StrDeserializer::new(text)).map(Into::into)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Self::Value, A::Error> {
                let all = Vec::deserialize(SeqAccessDeserializer::new(list))?;
                if all.is_empty() {
                    return Err(A::Error::custom("the list is empty"));
                }
                Ok(OneOrMore(all))
            }
        }

        deserializer.deserialize_any(Either(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<OneOrMore<ipcspec_harness::Outcome>, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn is_written_as_it_was_read() {
        for (json, told) in [
            (r#""held""#, "held"),
            (r#"["held","absent"]"#, "held or absent"),
            (r#"["held","absent","broken"]"#, "held, absent or broken"),
        ] {
            let read = read(json).unwrap();
            assert_eq!(read.to_string(), told);
            assert_eq!(serde_json::to_string(&read).unwrap(), json);
        }
        assert_eq!(read(r#"["held"]"#).unwrap(), ipcspec_harness::Outcome::Held.into());
    }

    #[test]
    fn an_error_says_what_was_wrong() {
        for (json, wrong) in [
            ("[]", "the list is empty"),
            (r#""helt""#, "unknown variant `helt`, expected one of `held`"),
            (r#"["held", "helt"]"#, "unknown variant `helt`, expected one of `held`"),
            ("7", "expected a text or a list of texts"),
        ] {
            let error = read(json).unwrap_err();
            assert!(error.contains(wrong), "{json}: {error}");
        }
    }
}
