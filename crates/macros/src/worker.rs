//! `#[worker(…)]`.

use crate::{
    options::{Known, Options, topic},
    shape::{Gives, Takes, gives, plain, takes},
};
use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::{Error, Expr, ExprLit, ItemFn, Lit, Result, spanned::Spanned};

const OPTIONS: &[Known] = &[
    ("topic", &[]),
    ("output", &["output_topic"]),
    ("name", &[]),
    ("group", &["group_id"]),
    ("concurrency", &[]),
    ("max_retries", &[]),
    ("backoff", &["retry_backoff"]),
    ("initial", &[]),
    ("cap", &[]),
    ("jitter", &[]),
    ("dead_letter", &["dlq_topic"]),
    ("batch_size", &[]),
    ("batch_timeout", &[]),
    ("exactly_once", &[]),
    ("codec", &[]),
    ("output_codec", &[]),
    ("on_success", &[]),
    ("on_error", &[]),
];

pub(crate) fn expand(arguments: TokenStream, mut function: ItemFn) -> Result<TokenStream> {
    let options = Options::parse(arguments, OPTIONS)?;
    plain(&function, "worker")?;
    let (takes, input) = takes(&function)?;
    let gives = gives(&function, &takes)?;
    let batches = matches!(takes, Takes::Batch);
    if let (false, Some(size)) = (batches, options.get("batch_size")) {
        let text = "`batch_size` needs a function that takes a batch: `&[Delivery<T>]`";
        return Err(Error::new(size.span(), text));
    }
    if let (None, Some(output)) = (&gives.value, options.get("output")) {
        let text = "there is an `output`, and the function gives nothing to publish";
        return Err(Error::new(output.span(), text));
    }
    let (name, visibility) = (function.sig.ident.clone(), function.vis.clone());
    let documents: Vec<_> = function
        .attrs
        .extract_if(.., |a| a.path().is_ident("doc"))
        .collect();
    let output = gives.value.clone().map_or(quote!(()), |value| quote!(#value));
    let codec = options
        .get("codec")
        .map_or(quote!(::bus::Json), |codec| quote!(#codec));
    let output_codec = options
        .get("output_codec")
        .map_or(codec.clone(), |codec| quote!(#codec));

    let topic_of = topic(options.needed("topic", "ORDERS")?, &input, &codec);
    let output_of = options.get("output").map(|value| {
        let topic = topic(value, &output, &output_codec);
        quote! {
            fn output(&self) -> ::core::option::Option<::bus::Topic<#output, #output_codec>> {
                ::core::option::Option::Some(#topic)
            }
        }
    });
    let constants = constants(&options, &name.to_string())?;
    let hooks = hooks(&options, &input, &output);

    // The function keeps its body and its spans, under a name that nobody else sees.
    let inner = format_ident!("__{name}");
    function.sig.ident = inner.clone();
    function.vis = syn::Visibility::Inherited;
    let each = outcome(&gives);
    let body = match takes {
        Takes::Delivery => quote!(let given = #inner(task).await; #each),
        Takes::Value => quote!(let given = #inner(task.value()).await; #each),
        Takes::Batch => quote! {
            let mut given = self.process_batch(::core::slice::from_ref(task)).await;
            match (given.pop(), given.is_empty()) {
                (::core::option::Option::Some(outcome), true) => outcome,
                _ => ::core::result::Result::Err("a batch of one has one outcome".into()),
            }
        },
    };
    let batch = batches.then(|| {
        quote! {
            async fn process_batch(
                &self,
                tasks: &[::bus::Delivery<#input>],
            ) -> ::std::vec::Vec<::core::result::Result<::core::option::Option<#output>, ::bus::handler::Failure>> {
                #inner(tasks).await.into_iter().map(|given| { #each }).collect()
            }
        }
    });
    let implements = quote! {
        impl ::bus::worker::Worker<#codec, #output_codec, Input = #input, Output = #output>
    };
    // A function, not a unit struct: that would be a pattern, and every `let` of its name an error.
    Ok(quote! {
        #(#documents)*
        #visibility fn #name() -> ::bus::worker::Runner<#implements, #codec, #output_codec> {
            #function

            struct Attributed;

            impl ::bus::worker::Worker<#codec, #output_codec> for Attributed {
                type Input = #input;
                type Output = #output;
                #constants
                fn topic(&self) -> ::bus::Topic<#input, #codec> {
                    #topic_of
                }
                #output_of
                async fn process(
                    &self,
                    task: &::bus::Delivery<#input>,
                ) -> ::core::result::Result<::core::option::Option<#output>, ::bus::handler::Failure> {
                    #body
                }
                #batch
                #hooks
            }

            ::bus::worker::worker(Attributed)
        }
    })
}

/// `given` as what the trait gives.
fn outcome(gives: &Gives) -> TokenStream {
    let some = match (&gives.value, gives.optional) {
        (None, _) => quote!({
            let () = given;
            ::core::option::Option::None
        }),
        (Some(_), true) => quote!(given),
        (Some(_), false) => quote!(::core::option::Option::Some(given)),
    };
    match gives.fails {
        true => quote! {
            match given {
                ::core::result::Result::Ok(given) => ::core::result::Result::Ok(#some),
                ::core::result::Result::Err(error) => ::core::result::Result::Err(error.into()),
            }
        },
        false => quote!(::core::result::Result::Ok(#some)),
    }
}

fn constants(options: &Options, name: &str) -> Result<TokenStream> {
    let name = options.get("name").map_or(quote!(#name), |name| quote!(#name));
    let mut all = quote!(const NAME: &'static str = #name;);
    let texts = [("group", quote!(GROUP)), ("dead_letter", quote!(DEAD_LETTER))];
    for (option, constant) in texts {
        if let Some(value) = options.get(option) {
            let option = quote!(::core::option::Option);
            all.extend(quote_spanned!(value.span()=> const #constant: #option<&'static str> = #option::Some(#value);));
        }
    }
    let counts = [
        ("concurrency", quote!(CONCURRENCY)),
        ("batch_size", quote!(BATCH_SIZE)),
    ];
    for (option, constant) in counts {
        if let Some(value) = options.count(option)? {
            all.extend(quote_spanned!(value.span()=> const #constant: usize = #value;));
        }
    }
    if let Some(age) = options.duration("batch_timeout")? {
        all.extend(quote!(const BATCH_TIMEOUT: ::std::time::Duration = #age;));
    }
    if let Some(value) = options.get("exactly_once") {
        all.extend(quote_spanned!(value.span()=> const EXACTLY_ONCE: bool = #value;));
    }
    all.extend(retry(options)?);
    Ok(all)
}

fn retry(options: &Options) -> Result<Option<TokenStream>> {
    let given = ["max_retries", "backoff", "initial", "cap", "jitter"];
    if given.iter().all(|name| options.get(name).is_none()) {
        return Ok(None);
    }
    let initial = options
        .duration("initial")?
        .unwrap_or(quote!(::std::time::Duration::from_secs(1)));
    let backoff = match options.get("backoff") {
        None => format_ident!("exponential"),
        Some(value) => {
            let word = match value {
                Expr::Path(path) => path.path.get_ident().map(ToString::to_string),
                Expr::Lit(ExprLit {
                    lit: Lit::Str(text), ..
                }) => Some(text.value()),
                _ => None,
            };
            let known = word.filter(|word| ["fixed", "linear", "exponential"].contains(&&**word));
            let text = "`backoff` is `fixed`, `linear` or `exponential`";
            format_ident!("{}", known.ok_or_else(|| Error::new(value.span(), text))?)
        }
    };
    let mut retry = quote!(::bus::Retry::#backoff(#initial));
    for name in ["max_retries", "jitter"] {
        if let Some(value) = options.get(name) {
            let setter = format_ident!("{name}");
            retry.extend(quote_spanned!(value.span()=> .#setter(#value)));
        }
    }
    if let Some(cap) = options.duration("cap")? {
        retry.extend(quote!(.cap(#cap)));
    }
    Ok(Some(quote!(const RETRY: ::bus::Retry = #retry;)))
}

fn hooks(options: &Options, input: &syn::Type, output: &TokenStream) -> TokenStream {
    let mut all = TokenStream::new();
    if let Some(hook) = options.get("on_success") {
        let call = quote_spanned!(hook.span()=> #hook(task, output).await;);
        all.extend(quote! {
            async fn on_success(&self, task: &::bus::Delivery<#input>, output: ::core::option::Option<&#output>) {
                #call
            }
        });
    }
    if let Some(hook) = options.get("on_error") {
        let call = quote_spanned!(hook.span()=> #hook(task, error).await;);
        all.extend(quote! {
            async fn on_error(&self, task: &::bus::Delivery<#input>, error: &::bus::handler::Failure) {
                #call
            }
        });
    }
    all
}
