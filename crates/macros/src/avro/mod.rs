//! `#[derive(AvroSchema)]`.

mod attributes;
mod case;
mod fields;

use self::attributes::{Attributes, Container};
use proc_macro2::TokenStream;
use quote::quote;
use syn::{Data, DataEnum, DataStruct, DeriveInput, Error, Fields, Result, ext::IdentExt, spanned::Spanned};

pub(crate) fn expand(input: &DeriveInput) -> Result<TokenStream> {
    let container = Attributes::of(&input.attrs)?.container(input)?;
    if let Some(parameter) = input.generics.params.first() {
        let text = "a schema's name says which type it is, so that a type with parameters has none: write a type without, or describe it by hand (`impl AvroSchema`)";
        return Err(Error::new(parameter.span(), text));
    }
    let describe = match &input.data {
        Data::Struct(data) => structure(input, data, &container)?,
        Data::Enum(data) => enumeration(input, data, &container)?,
        Data::Union(data) => {
            let text = "a Rust union has no Avro schema";
            return Err(Error::new(data.union_token.span(), text));
        }
    };
    let name = &input.ident;
    Ok(quote! {
        #[automatically_derived]
        impl ::bus::AvroSchema for #name {
            fn describe(types: &mut ::bus::avro::Types) -> ::bus::avro::derived::Value {
                #describe
            }
            fn cell() -> &'static ::bus::avro::derived::Cell {
                static CELL: ::bus::avro::derived::Cell = ::bus::avro::derived::Cell::new();
                &CELL
            }
        }
    })
}

/// The call that names the type, around what makes its definition.
fn named(input: &DeriveInput, container: &Container, kind: &str, definition: &TokenStream) -> TokenStream {
    let name = container
        .name
        .clone()
        .unwrap_or_else(|| input.ident.unraw().to_string());
    let namespace = match &container.namespace {
        Some(namespace) => quote!(::core::option::Option::Some(#namespace)),
        None => quote!(::core::option::Option::None),
    };
    let doc = attributes::doc(&input.attrs);
    let doc = (!doc.is_empty())
        .then(|| quote!(definition.insert("doc".into(), ::bus::avro::derived::Value::from(#doc));));
    let aliases = &container.aliases;
    let aliases = (!aliases.is_empty())
        .then(|| quote!(definition.insert("aliases".into(), ::bus::avro::derived::json!([#(#aliases),*]));));
    quote! {
        types.named::<Self>(#namespace, #name, |types| {
            let mut definition = ::bus::avro::derived::Map::new();
            definition.insert("type".into(), ::bus::avro::derived::Value::from(#kind));
            #doc
            #aliases
            #definition
            definition
        })
    }
}

/// What has no name of its own would describe itself for ever, if it lay in itself.
fn within(schema: &TokenStream) -> TokenStream {
    quote!(types.nameless::<Self>(|types| #schema))
}

fn structure(input: &DeriveInput, data: &DataStruct, container: &Container) -> Result<TokenStream> {
    match &data.fields {
        Fields::Named(given) if container.transparent => {
            Ok(within(&fields::only(given.named.iter(), input)?))
        }
        Fields::Unnamed(given) if given.unnamed.len() == 1 => {
            Ok(within(&fields::only(given.unnamed.iter(), input)?))
        }
        Fields::Named(given) => {
            let described = fields::described(given.named.iter(), container)?;
            let defaults = container
                .defaults
                .as_ref()
                .map(|value| quote!(let defaults: Self = #value;));
            let definition = quote! {
                #defaults
                let fields: ::std::vec::Vec<::bus::avro::derived::Value> = ::std::vec![#(#described),*];
                definition.insert("fields".into(), ::bus::avro::derived::Value::Array(fields));
            };
            Ok(named(input, container, "record", &definition))
        }
        other => {
            let text = "a record's fields have names: write `struct Point { x: f64, y: f64 }`, or one field for a new name of its type";
            Err(Error::new(
                if other.is_empty() {
                    input.ident.span()
                } else {
                    other.span()
                },
                text,
            ))
        }
    }
}

fn enumeration(input: &DeriveInput, data: &DataEnum, container: &Container) -> Result<TokenStream> {
    let mut symbols = Vec::new();
    let mut other = None;
    for variant in &data.variants {
        if !matches!(variant.fields, Fields::Unit) {
            let text = "an Avro enum has names alone; give each case a field of its own that is an `Option`, or a topic of its own";
            return Err(Error::new(variant.fields.span(), text));
        }
        let given = Attributes::of(&variant.attrs)?.variant()?;
        if given.skip {
            continue;
        }
        let name = match given.name {
            Some(name) => name,
            None => case::of_variant(container.rename_all.as_ref(), &variant.ident.unraw().to_string())?,
        };
        attributes::check_name(&name, variant.ident.span())?;
        if given.other {
            other = Some(name.clone());
        }
        symbols.push(name);
    }
    if symbols.is_empty() {
        return Err(Error::new(
            input.ident.span(),
            "an Avro enum has at least one symbol",
        ));
    }
    let other = other.map(|name| quote!(definition.insert("default".into(), #name.into());));
    let definition = quote! {
        definition.insert("symbols".into(), ::bus::avro::derived::json!([#(#symbols),*]));
        #other
    };
    Ok(named(input, container, "enum", &definition))
}
