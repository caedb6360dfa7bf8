//! The options of an attribute: names and values, with older names, and errors that say what there is.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::{
    Error, Expr, ExprLit, Ident, Lit, LitStr, MetaNameValue, Result, Token, parse::Parser,
    punctuated::Punctuated, spanned::Spanned,
};

/// An option's name, and the older names for it.
pub(crate) type Known = (&'static str, &'static [&'static str]);

/// What was given, by today's names.
#[derive(Debug)]
pub(crate) struct Options(Vec<(&'static str, Ident, Expr)>);

impl Options {
    pub(crate) fn parse(arguments: TokenStream, known: &'static [Known]) -> Result<Self> {
        let given = Punctuated::<MetaNameValue, Token![,]>::parse_terminated.parse2(arguments)?;
        let mut options: Vec<(&'static str, Ident, Expr)> = Vec::new();
        for MetaNameValue { path, value, .. } in given {
            let name = path.require_ident()?.clone();
            let text = name.to_string();
            let same = |(today, older): &&Known| *today == text || older.contains(&&*text);
            let Some((today, _)) = known.iter().find(same) else {
                return Err(Error::new(name.span(), unknown(&text, known)));
            };
            if let Some((_, first, _)) = options.iter().find(|(other, ..)| other == today) {
                let text = match *first == name {
                    true => format!("`{name}` is given twice"),
                    false => format!("`{first}` and `{name}` are the same option"),
                };
                return Err(Error::new(name.span(), text));
            }
            options.push((*today, name, value));
        }
        Ok(Self(options))
    }
    pub(crate) fn get(&self, name: &str) -> Option<&Expr> {
        self.0
            .iter()
            .find(|(known, ..)| *known == name)
            .map(|(.., value)| value)
    }
    pub(crate) fn needed(&self, name: &str, example: &str) -> Result<&Expr> {
        let text = || format!("`{name}` is missing: `{name} = {example}`");
        self.get(name)
            .ok_or_else(|| Error::new(Span::call_site(), text()))
    }
    /// A number that is not 0.
    pub(crate) fn count(&self, name: &str) -> Result<Option<&Expr>> {
        match self.get(name) {
            Some(Expr::Lit(ExprLit {
                lit: Lit::Int(number),
                ..
            })) if number.base10_parse::<u64>()? == 0 => {
                Err(Error::new(number.span(), format!("`{name}` is at least 1")))
            }
            other => Ok(other),
        }
    }
    /// A duration: text such as `"500ms"`, or an expression of the type.
    pub(crate) fn duration(&self, name: &str) -> Result<Option<TokenStream>> {
        match self.get(name) {
            Some(Expr::Lit(ExprLit {
                lit: Lit::Str(text), ..
            })) => duration(text).map(Some),
            Some(Expr::Lit(other)) => {
                let text = format!("`{name}` needs a unit: \"500ms\", \"1s\", \"2m\", \"1h\"");
                Err(Error::new(other.span(), text))
            }
            other => Ok(other.map(|value| quote!(#value))),
        }
    }
}

fn unknown(text: &str, known: &[Known]) -> String {
    let names: Vec<_> = known.iter().map(|(name, _)| *name).collect();
    let near = names
        .iter()
        .min_by_key(|name| strsim::damerau_levenshtein(name, text))
        .filter(|name| strsim::damerau_levenshtein(name, text) <= 3);
    match near {
        Some(near) => format!("there is no option `{text}`; did you mean `{near}`?"),
        None => format!("there is no option `{text}`; there are {}", names.join(", ")),
    }
}

fn duration(text: &LitStr) -> Result<TokenStream> {
    let wrong = || {
        Error::new(
            text.span(),
            "a duration is a number and a unit: \"500ms\", \"1s\", \"2m\", \"1h\"",
        )
    };
    let value = text.value();
    let digits = value.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
    let number: u64 = value[..digits].parse().map_err(|_| wrong())?;
    let millis = match &value[digits..] {
        "ms" => Some(1),
        "s" => Some(1_000),
        "m" => Some(60_000),
        "h" => Some(3_600_000),
        _ => None,
    };
    let millis = millis
        .and_then(|unit: u64| number.checked_mul(unit))
        .ok_or_else(wrong)?;
    Ok(quote!(::std::time::Duration::from_millis(#millis)))
}

/// A topic: a name becomes one of this type and codec, anything else is one.
pub(crate) fn topic(value: &Expr, payload: &impl ToTokens, codec: &impl ToTokens) -> TokenStream {
    match value {
        Expr::Lit(ExprLit {
            lit: Lit::Str(name), ..
        }) => {
            quote_spanned!(name.span()=> ::bus::Topic::<#payload, #codec>::new(#name))
        }
        other => quote_spanned!(other.span()=> ::core::clone::Clone::clone(&#other)),
    }
}
