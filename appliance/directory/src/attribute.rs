//! What is known of a person, and in which attributes directories keep it.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::settings::Kind;

/// One thing that is known of a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Field {
    /// What becomes the user part of the address of record.
    Id,
    /// The name shown to others.
    DisplayName,
    /// First name.
    GivenName,
    /// Middle name or initials.
    MiddleName,
    /// Family name.
    Surname,
    /// What friends say.
    Nickname,
    /// Mail address.
    Mail,
    /// Telephone at work.
    Telephone,
    /// Telephone in the pocket.
    Mobile,
    /// Telephone at home.
    HomePhone,
    /// IP telephone or extension.
    IpPhone,
    /// Fax.
    Fax,
    /// Pager.
    Pager,
    /// Voice mail.
    Voicemail,
    /// What the person does.
    Title,
    /// Where in the organisation.
    Department,
    /// Whom the person reports to, by DN.
    Manager,
    /// Number by which the organisation knows the person.
    EmployeeNumber,
    /// A page of the person's.
    Url,
    /// A picture, JPEG or PNG.
    Photo,
}

impl Field {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 20] = [
        Self::Id,
        Self::DisplayName,
        Self::GivenName,
        Self::MiddleName,
        Self::Surname,
        Self::Nickname,
        Self::Mail,
        Self::Telephone,
        Self::Mobile,
        Self::HomePhone,
        Self::IpPhone,
        Self::Fax,
        Self::Pager,
        Self::Voicemail,
        Self::Title,
        Self::Department,
        Self::Manager,
        Self::EmployeeNumber,
        Self::Url,
        Self::Photo,
    ];

    /// Its name in the CLI and the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::DisplayName => "display-name",
            Self::GivenName => "given-name",
            Self::MiddleName => "middle-name",
            Self::Surname => "surname",
            Self::Nickname => "nickname",
            Self::Mail => "mail",
            Self::Telephone => "telephone",
            Self::Mobile => "mobile",
            Self::HomePhone => "home-phone",
            Self::IpPhone => "ip-phone",
            Self::Fax => "fax",
            Self::Pager => "pager",
            Self::Voicemail => "voicemail",
            Self::Title => "title",
            Self::Department => "department",
            Self::Manager => "manager",
            Self::EmployeeNumber => "employee-number",
            Self::Url => "url",
            Self::Photo => "photo",
        }
    }

    /// The attribute that holds it by default; empty where none does.
    #[must_use]
    pub const fn usual(self, kind: Kind) -> &'static str {
        let is_microsoft = matches!(kind, Kind::ActiveDirectory | Kind::AdLds);
        match self {
            Self::Id => match kind {
                Kind::ActiveDirectory => "sAMAccountName",
                Kind::AdLds => "userPrincipalName",
                Kind::OpenLdap | Kind::Ds389 => "uid",
            },
            Self::DisplayName => "displayName",
            Self::GivenName => "givenName",
            Self::MiddleName => "initials",
            Self::Surname => "sn",
            Self::Nickname | Self::Voicemail => "",
            Self::Mail => "mail",
            Self::Telephone => "telephoneNumber",
            Self::Mobile => "mobile",
            Self::HomePhone => "homePhone",
            Self::IpPhone => {
                if is_microsoft {
                    "ipPhone"
                } else {
                    ""
                }
            }
            Self::Fax => "facsimileTelephoneNumber",
            Self::Pager => "pager",
            Self::Title => "title",
            Self::Department => {
                if is_microsoft {
                    "department"
                } else {
                    "departmentNumber"
                }
            }
            Self::Manager => "manager",
            Self::EmployeeNumber => "employeeNumber",
            Self::Url => {
                if is_microsoft {
                    "wWWHomePage"
                } else {
                    "labeledURI"
                }
            }
            Self::Photo => {
                if is_microsoft {
                    "thumbnailPhoto"
                } else {
                    "jpegPhoto"
                }
            }
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// No field has this name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownField(pub String);

impl FromStr for Field {
    type Err = UnknownField;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let named = Self::ALL.into_iter().find(|field| field.name().eq_ignore_ascii_case(text));
        named.ok_or_else(|| UnknownField(text.to_owned()))
    }
}

/// Which attribute holds which field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttributeMap {
    by_field: BTreeMap<Field, String>,
}

impl AttributeMap {
    /// What is usual for a kind of directory, with what an administrator has changed; an empty
    /// attribute leaves the field out.
    #[must_use]
    pub fn new(kind: Kind, changed: &BTreeMap<Field, String>) -> Self {
        let by_field = Field::ALL.into_iter().filter_map(|field| {
            let attribute =
                changed.get(&field).map_or_else(|| field.usual(kind), |own| own.as_str());
            (!attribute.is_empty()).then(|| (field, attribute.to_owned()))
        });
        Self { by_field: by_field.collect() }
    }

    /// The attribute of a field.
    #[must_use]
    pub fn of(&self, field: Field) -> Option<&str> {
        self.by_field.get(&field).map(String::as_str)
    }

    /// Fields with their attributes, in the order of [`Field::ALL`].
    pub fn iter(&self) -> impl Iterator<Item = (Field, &str)> {
        Field::ALL.into_iter().filter_map(|field| Some((field, self.of(field)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_shown() {
        for field in Field::ALL {
            assert_eq!(field.name().to_uppercase().parse(), Ok(field));
        }
        assert_eq!("shoe-size".parse::<Field>(), Err(UnknownField("shoe-size".to_owned())));
    }

    #[test]
    fn a_changed_attribute_replaces_the_usual_one_and_an_empty_one_leaves_the_field_out() {
        let changed = BTreeMap::from([
            (Field::Telephone, "ipPhone".to_owned()),
            (Field::Photo, String::new()),
        ]);
        let map = AttributeMap::new(Kind::ActiveDirectory, &changed);
        assert_eq!(map.of(Field::Telephone), Some("ipPhone"));
        assert_eq!(map.of(Field::Photo), None);
        assert_eq!(map.of(Field::Id), Some("sAMAccountName"));
    }
}
