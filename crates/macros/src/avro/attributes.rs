//! What stands in `#[avro(…)]` and `#[serde(…)]`. What the schema cannot follow is refused.

use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::{
    Attribute, DeriveInput, Error, Expr, ExprLit, Ident, Lit, LitStr, Meta, Path, Result, Token, Type,
    parse::Parse, parse::ParseStream, parse_quote, punctuated::Punctuated, spanned::Spanned,
};

/// One entry of an attribute.
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) span: Span,
    /// Whose attribute it is.
    serde: bool,
    meta: Meta,
}

/// All of them.
pub(super) struct Attributes(Vec<Entry>);

#[derive(Default)]
pub(super) struct Container {
    pub(super) name: Option<String>,
    pub(super) namespace: Option<String>,
    pub(super) aliases: Vec<String>,
    pub(super) rename_all: Option<LitStr>,
    pub(super) transparent: bool,
    /// What every missing field is taken from.
    pub(super) defaults: Option<TokenStream>,
}

#[derive(Default)]
pub(super) struct Variant {
    pub(super) name: Option<String>,
    pub(super) skip: bool,
    pub(super) other: bool,
}

#[derive(Default)]
pub(super) struct Field {
    pub(super) name: Option<String>,
    pub(super) aliases: Vec<String>,
    pub(super) skip: bool,
    /// Serde leaves it out at times.
    pub(super) skip_if: Option<Span>,
    /// What serde takes where it is missing: a value of the field's type.
    pub(super) default: Option<TokenStream>,
    /// That is its type's own.
    pub(super) plain: bool,
    /// What the schema says is taken: JSON.
    pub(super) preset: Option<Expr>,
    /// The type whose schema it has, if that is not its own.
    pub(super) schema_of: Option<Type>,
    /// Precision and scale.
    pub(super) decimal: Option<(u32, u32)>,
    /// Serde writes it by functions that are not its type's.
    with: Option<Span>,
}

impl Attributes {
    pub(super) fn of(attributes: &[Attribute]) -> Result<Self> {
        let mut all = Vec::new();
        for attribute in attributes {
            let serde = attribute.path().is_ident("serde");
            if !serde && !attribute.path().is_ident("avro") {
                continue;
            }
            let metas = attribute.parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated)?;
            for meta in metas {
                let path = meta.path();
                all.push(Entry {
                    name: path.get_ident().map(Ident::to_string).unwrap_or_default(),
                    span: path.span(),
                    serde,
                    meta,
                });
            }
        }
        Ok(Self(all))
    }

    pub(super) fn container(self, input: &DeriveInput) -> Result<Container> {
        let mut all = Container::default();
        for entry in self.0 {
            match (entry.serde, &*entry.name) {
                (true, "rename") => {
                    let name = entry.text()?;
                    check_name(&name.value(), name.span())?;
                    all.name = Some(name.value());
                }
                (true, "rename_all") => all.rename_all = Some(entry.text()?),
                (true, "transparent") => all.transparent = true,
                (true, "default") => all.defaults = Some(entry.default(&parse_quote!(Self))?),
                (true, "deny_unknown_fields" | "bound" | "crate" | "expecting") => {}
                (true, _) => return Err(entry.refused()),
                (false, "namespace") => {
                    let namespace = entry.text()?;
                    for part in namespace.value().split('.') {
                        check_name(part, namespace.span())?;
                    }
                    all.namespace = Some(namespace.value());
                }
                (false, "alias") => all.aliases.push(entry.text()?.value()),
                (false, _) => return Err(entry.unknown("namespace, alias")),
            }
        }
        if let (Some(defaults), syn::Data::Enum(_)) = (&all.defaults, &input.data) {
            return Err(Error::new(
                defaults.span(),
                "an enum's default is its variant with `#[serde(other)]`",
            ));
        }
        Ok(all)
    }

    pub(super) fn variant(self) -> Result<Variant> {
        let mut all = Variant::default();
        for entry in self.0 {
            match (entry.serde, &*entry.name) {
                (true, "rename") => all.name = Some(entry.text()?.value()),
                (true, "skip") => all.skip = true,
                (true, "other") => all.other = true,
                // Symbols have no aliases in Avro; what is not written any more is what old writers know.
                (true, _) => return Err(entry.refused()),
                (false, _) => return Err(entry.unknown("none for a variant")),
            }
        }
        Ok(all)
    }

    pub(super) fn field(self, of: &Type) -> Result<Field> {
        let mut all = Field::default();
        for entry in self.0 {
            match (entry.serde, &*entry.name) {
                (true, "rename") => all.name = Some(entry.text()?.value()),
                (true, "alias") | (false, "alias") => all.aliases.push(entry.text()?.value()),
                (true, "skip") => all.skip = true,
                (true, "skip_serializing_if") => all.skip_if = Some(entry.span),
                (true, "default") => {
                    all.default = Some(entry.default(of)?);
                    all.plain = matches!(entry.meta, Meta::Path(_));
                }
                (true, "with" | "serialize_with" | "deserialize_with") => all.with = Some(entry.span),
                (true, "bound") => {}
                (true, _) => return Err(entry.refused()),
                (false, "default") => all.preset = Some(entry.value()?.clone()),
                (false, "schema_of") => all.schema_of = Some(entry.of_type()?),
                (false, "decimal") => all.decimal = Some(entry.decimal()?),
                (false, _) => return Err(entry.unknown("alias, default, decimal, schema_of")),
            }
        }
        if let (Some(with), None, None) = (all.with, &all.schema_of, &all.decimal) {
            let text = "serde writes this field in its own way, which the schema cannot know: say which type it looks like then, `#[avro(schema_of = i64)]`";
            return Err(Error::new(with, text));
        }
        if let (Some(of), Some(_)) = (&all.schema_of, all.decimal) {
            return Err(Error::new(
                of.span(),
                "`decimal` and `schema_of` are two schemas for one field",
            ));
        }
        Ok(all)
    }
}

impl Entry {
    fn value(&self) -> Result<&Expr> {
        match &self.meta {
            Meta::NameValue(pair) => Ok(&pair.value),
            other => {
                let text = match (self.serde, &*self.name) {
                    (true, "rename" | "rename_all") => {
                        "a schema has one name for a field, in both directions: `rename = \"…\"`"
                    }
                    _ => "it needs a value: `name = value`",
                };
                Err(Error::new(other.span(), text))
            }
        }
    }
    fn text(&self) -> Result<LitStr> {
        match self.value()? {
            Expr::Lit(ExprLit {
                lit: Lit::Str(text), ..
            }) => Ok(text.clone()),
            other => Err(Error::new(other.span(), format!("`{}` is text", self.name))),
        }
    }
    /// What `default`, or `default = "path"`, gives.
    fn default(&self, of: &Type) -> Result<TokenStream> {
        if let Meta::Path(_) = self.meta {
            return Ok(quote!(<#of as ::core::default::Default>::default()));
        }
        let path: Path = self.text()?.parse()?;
        Ok(quote!(#path()))
    }
    fn of_type(&self) -> Result<Type> {
        let value = self.value()?;
        syn::parse2(quote!(#value)).map_err(|_| Error::new(value.span(), "`schema_of` is a type"))
    }
    fn decimal(&self) -> Result<(u32, u32)> {
        struct Digits(Vec<(Ident, syn::LitInt)>);
        impl Parse for Digits {
            fn parse(input: ParseStream<'_>) -> Result<Self> {
                let mut all = Vec::new();
                while !input.is_empty() {
                    let name: Ident = input.parse()?;
                    input.parse::<Token![=]>()?;
                    all.push((name, input.parse()?));
                    let _ = input.parse::<Option<Token![,]>>()?;
                }
                Ok(Self(all))
            }
        }
        const FORM: &str = "write `decimal(precision = 12, scale = 2)`: 1 to 38 digits, at most as many of them behind the point";
        let form = || Error::new(self.span, FORM);
        let Meta::List(list) = &self.meta else {
            return Err(form());
        };
        let digits: Digits = syn::parse2(list.tokens.clone()).map_err(|_| form())?;
        let (mut precision, mut scale) = (0, 0);
        for (name, number) in digits.0 {
            match &*name.to_string() {
                "precision" => precision = number.base10_parse().map_err(|_| form())?,
                "scale" => scale = number.base10_parse().map_err(|_| form())?,
                _ => return Err(form()),
            }
        }
        match (1..=38).contains(&precision) && scale <= precision {
            true => Ok((precision, scale)),
            false => Err(form()),
        }
    }
    fn refused(&self) -> Error {
        let text = match &*self.name {
            "flatten" => {
                "a schema's record has its fields by name: put them in, or keep the inner type as one field"
            }
            "tag" | "content" | "untagged" | "from" | "into" | "try_from" | "remote" => {
                "serde writes the type in another form, and its schema would be wrong; describe it by hand (`impl AvroSchema`)"
            }
            "skip_serializing" | "skip_deserializing" => {
                "a field is in the schema, in both directions, or it is not: `skip`"
            }
            "alias" => "a symbol of an Avro enum has one name",
            _ => "the schema cannot follow this attribute of serde's",
        };
        Error::new(self.span, text)
    }
    fn unknown(&self, there: &str) -> Error {
        Error::new(
            self.span,
            format!("there is no option `{}`; there are {there}", self.name),
        )
    }
}

/// Doc comments, as one text.
pub(super) fn doc(attributes: &[Attribute]) -> String {
    let lines = attributes.iter().filter_map(|attribute| match &attribute.meta {
        Meta::NameValue(pair) if pair.path.is_ident("doc") => match &pair.value {
            Expr::Lit(ExprLit {
                lit: Lit::Str(text), ..
            }) => Some(text.value().trim().to_owned()),
            _ => None,
        },
        _ => None,
    });
    lines.collect::<Vec<_>>().join("\n").trim().to_owned()
}

/// Refuses what is no name in Avro.
pub(super) fn check_name(name: &str, span: Span) -> Result<()> {
    let mut characters = name.chars();
    let begins = characters
        .next()
        .is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    if begins && characters.all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Ok(());
    }
    let text = format!("`{name}` is no name in Avro: letters, digits and `_`, with no digit in front");
    Err(Error::new(span, text))
}
