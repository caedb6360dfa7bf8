//! `#[consumer(…)]`.

use crate::{
    options::{Known, Options},
    shape::plain,
};
use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::{Expr, ExprLit, ItemFn, Lit, Result, spanned::Spanned};

const OPTIONS: &[Known] = &[("topic", &[]), ("group", &["group_id"]), ("concurrency", &[])];

pub(crate) fn expand(arguments: TokenStream, mut function: ItemFn) -> Result<TokenStream> {
    let options = Options::parse(arguments, OPTIONS)?;
    plain(&function, "consumer")?;
    let topic = match options.needed("topic", "ORDERS")? {
        Expr::Lit(ExprLit {
            lit: Lit::Str(name), ..
        }) => quote!(#name),
        topic => quote_spanned!(topic.span()=> &#topic),
    };
    let group = options.needed("group", "\"billing\"")?;
    let concurrency = options
        .count("concurrency")?
        .map(|most| quote_spanned!(most.span()=> .concurrency(#most)));
    let (name, visibility) = (function.sig.ident.clone(), function.vis.clone());
    let documents: Vec<_> = function
        .attrs
        .extract_if(.., |a| a.path().is_ident("doc"))
        .collect();
    let inner = format_ident!("__{name}");
    function.sig.ident = inner.clone();
    function.vis = syn::Visibility::Inherited;
    Ok(quote! {
        #(#documents)*
        #visibility fn #name() -> ::bus::handler::Consumer {
            #function
            ::bus::handler::consumer(#topic, #group, #inner)#concurrency
        }
    })
}
