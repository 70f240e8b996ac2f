//! The reference of a TOML file: every key with its type, default, meaning, an example, and what is refused. The pages in
//! `docs/` are made from it, and the tests compare it with the types that read the file.

use std::fmt::Write;

/// A key of a table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Key {
    /// Its name.
    pub(crate) name: &'static str,
    /// The type of its value.
    pub(crate) kind: &'static str,
    /// What holds without it; `None` for a key that must be there.
    pub(crate) default: Option<&'static str>,
    /// What it means.
    pub(crate) meaning: &'static str,
    /// A value, as in TOML.
    pub(crate) example: &'static str,
    /// Values that are refused, as in TOML.
    pub(crate) refused: &'static [&'static str],
}

/// A table of a file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Table {
    /// Its heading, such as `[[member]]`; empty for the keys before the first one.
    pub(crate) head: &'static str,
    /// What it describes.
    pub(crate) meaning: &'static str,
    /// Its keys.
    pub(crate) keys: &'static [Key],
}

/// The tables as Markdown. `refusal` gives the message for a value of a key.
pub(crate) fn markdown(tables: &[Table], refusal: impl Fn(&Table, &Key, &str) -> String) -> String {
    let mut page = String::new();
    for table in tables {
        let head =
            if table.head.is_empty() { "Top-level keys".to_owned() } else { format!("`{}`", table.head) };
        // Writing to a String cannot fail.
        let _ = write!(page, "\n## {head}\n\n{}\n\n", table.meaning);
        page += "| key | type | default | meaning | example |\n|---|---|---|---|---|\n";
        for key in table.keys {
            let default = key.default.unwrap_or("**required**");
            let _ = writeln!(
                page,
                "| `{}` | {} | {default} | {} | `{} = {}` |",
                key.name, key.kind, key.meaning, key.name, key.example
            );
        }
        page += "\nRefused:\n\n| value | message |\n|---|---|\n";
        for key in table.keys {
            for value in key.refused {
                let message = refusal(table, key, value).replace('|', "\\|");
                let _ = writeln!(page, "| `{} = {value}` | {message} |", key.name);
            }
        }
    }
    page
}

#[cfg(test)]
pub(crate) mod tests {
    use serde::Deserialize;
    use serde::de::value::Error;
    use serde::de::{Deserializer, Error as _, Visitor};

    use super::Table;

    /// A deserializer that only learns which fields a type has.
    struct Fields<'a>(&'a mut &'static [&'static str]);

    impl<'de> Deserializer<'de> for Fields<'_> {
        type Error = Error;

        fn deserialize_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, Error> {
            Err(Error::custom("it is no struct"))
        }

        fn deserialize_struct<V: Visitor<'de>>(
            self,
            _name: &'static str,
            fields: &'static [&'static str],
            _visitor: V,
        ) -> Result<V::Value, Error> {
            *self.0 = fields;
            Err(Error::custom("only the fields were asked for"))
        }

        serde::forward_to_deserialize_any! {
            bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit unit_struct
            newtype_struct seq tuple tuple_struct map enum identifier ignored_any
        }
    }

    /// The fields of a type, as serde reads them.
    pub(crate) fn fields_of<'de, T: Deserialize<'de>>() -> &'static [&'static str] {
        let mut fields: &'static [&'static str] = &[];
        let _ = T::deserialize(Fields(&mut fields));
        fields
    }

    /// Every field of the type has a row, and no other has one, in the same order.
    pub(crate) fn describes<'de, T: Deserialize<'de>>(table: &Table, without: &[&str]) {
        let mut fields = fields_of::<T>().to_vec();
        fields.retain(|field| !without.contains(field));
        let rows: Vec<_> = table.keys.iter().map(|key| key.name).collect();
        assert_eq!(rows, fields, "the reference of {:?} does not list the keys that are read", table.head);
    }
}
