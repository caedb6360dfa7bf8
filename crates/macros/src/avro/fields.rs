//! The fields of a struct.

use super::{
    attributes::{Attributes, Container, Field, check_name, doc},
    case,
};
use crate::shape::inner;
use proc_macro2::TokenStream;
use quote::quote;
use syn::{DeriveInput, Error, Result, Type, ext::IdentExt, spanned::Spanned};

/// Each field's JSON.
pub(super) fn described<'a>(
    fields: impl Iterator<Item = &'a syn::Field>,
    container: &Container,
) -> Result<Vec<TokenStream>> {
    let mut all = Vec::new();
    for field in fields {
        let given = Attributes::of(&field.attrs)?.field(&field.ty)?;
        if given.skip {
            continue;
        }
        let Some(ident) = &field.ident else { continue };
        let name = match &given.name {
            Some(name) => name.clone(),
            None => case::of_field(container.rename_all.as_ref(), &ident.unraw().to_string())?,
        };
        check_name(&name, ident.span())?;
        let optional = inner(&field.ty, "Option").is_some();
        if let (Some(at), false) = (given.skip_if, optional) {
            let text = "a field that is left out needs a value that stands for it: make it an `Option`, which is null then";
            return Err(Error::new(at, text));
        }
        let schema = schema(&field.ty, &given);
        let preset = match (&given.preset, &given.default, &container.defaults) {
            (Some(json), ..) => quote!(::core::option::Option::Some(::bus::avro::derived::json!(#json))),
            (None, Some(value), _) => quote!(types.preset(&#value)),
            (None, None, Some(_)) => quote!(types.preset(&defaults.#ident)),
            (None, None, None) => quote!(::core::option::Option::None),
        };
        // An `Option`'s own default is the null that stands for what is left out.
        let other = given.preset.is_some() || (given.default.is_some() && !given.plain);
        if let (Some(at), true) = (given.skip_if, other) {
            let text =
                "where it is left out the schema's default would be written, which may be another value";
            return Err(Error::new(at, text));
        }
        // What the whole's default has there is known where the schema is made.
        let whole = given.default.is_none() && container.defaults.is_some();
        let null = (given.skip_if.is_some() && whole).then(|| quote!(types.left_out(#name, &preset);));
        let (doc, aliases) = (doc(&field.attrs), &given.aliases);
        all.push(quote!({
            let schema = #schema;
            let preset: ::core::option::Option<::bus::avro::derived::Value> = #preset;
            #null
            types.field(#name, schema, preset, #doc, &[#(#aliases),*])
        }));
    }
    Ok(all)
}

/// The one field that a struct is, which has no name of its own.
pub(super) fn only<'a>(
    fields: impl Iterator<Item = &'a syn::Field>,
    input: &DeriveInput,
) -> Result<TokenStream> {
    let mut schemas = Vec::new();
    for field in fields {
        let given = Attributes::of(&field.attrs)?.field(&field.ty)?;
        if !given.skip {
            schemas.push(schema(&field.ty, &given));
        }
    }
    match &mut schemas[..] {
        [schema] => Ok(std::mem::take(schema)),
        _ => Err(Error::new(input.span(), "a transparent struct is one field")),
    }
}

fn schema(of: &Type, given: &Field) -> TokenStream {
    if let Some((precision, scale)) = given.decimal {
        let decimal = quote!({
            "type": "bytes", "logicalType": "decimal", "precision": #precision, "scale": #scale
        });
        return match inner(of, "Option") {
            Some(_) => quote!(::bus::avro::derived::json!(["null", #decimal])),
            None => quote!(::bus::avro::derived::json!(#decimal)),
        };
    }
    let of = given.schema_of.as_ref().unwrap_or(of);
    quote!(<#of as ::bus::AvroSchema>::describe(types))
}
