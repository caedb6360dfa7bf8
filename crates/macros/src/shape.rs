//! What a function takes and gives, as it is written.

use syn::{
    Error, FnArg, GenericArgument, ItemFn, PathArguments, Result, ReturnType, Type, TypeReference,
    spanned::Spanned,
};

/// What a worker's function takes.
#[derive(Debug)]
pub(crate) enum Takes {
    /// `&Delivery<T>`.
    Delivery,
    /// `&T`.
    Value,
    /// `&[Delivery<T>]`.
    Batch,
}

/// What it gives for a message.
#[derive(Debug)]
pub(crate) struct Gives {
    /// It may fail.
    pub(crate) fails: bool,
    /// It may be nothing.
    pub(crate) optional: bool,
    /// The value; `None`: there is none.
    pub(crate) value: Option<Type>,
}

const TAKES: &str = "a worker takes one message: `&Delivery<T>`, `&T`, or `&[Delivery<T>]` for batches";

/// What it takes, and the type of a message.
pub(crate) fn takes(function: &ItemFn) -> Result<(Takes, Type)> {
    let inputs = &function.sig.inputs;
    let wrong = |at: &dyn quote::ToTokens| Error::new(at.span(), TAKES);
    let (Some(FnArg::Typed(argument)), 1) = (inputs.first(), inputs.len()) else {
        return Err(wrong(&function.sig));
    };
    let Type::Reference(TypeReference {
        elem,
        mutability: None,
        ..
    }) = &*argument.ty
    else {
        return Err(wrong(&argument.ty));
    };
    if let Type::Slice(slice) = &**elem {
        let payload = inner(&slice.elem, "Delivery").ok_or_else(|| wrong(&argument.ty))?;
        return Ok((Takes::Batch, payload.clone()));
    }
    Ok(match inner(elem, "Delivery") {
        Some(payload) => (Takes::Delivery, payload.clone()),
        None => (Takes::Value, (**elem).clone()),
    })
}

/// What it gives for each message; a batch gives a `Vec` of that.
pub(crate) fn gives(function: &ItemFn, takes: &Takes) -> Result<Gives> {
    let given = match &function.sig.output {
        ReturnType::Default => None,
        ReturnType::Type(_, given) => Some(&**given),
    };
    let given = match (takes, given) {
        (Takes::Batch, given) => {
            let each = given.and_then(|given| inner(given, "Vec"));
            let text = "a batch gives an outcome for each message: `Vec<Result<_, Failure>>`";
            Some(each.ok_or_else(|| Error::new(function.sig.output.span(), text))?)
        }
        (_, given) => given,
    };
    let (fails, given) = match given.and_then(|given| inner(given, "Result")) {
        Some(value) => (true, Some(value)),
        None => (false, given),
    };
    let (optional, given) = match given.and_then(|given| inner(given, "Option")) {
        Some(value) => (true, Some(value)),
        None => (false, given),
    };
    let is_unit = |given: &&Type| matches!(given, Type::Tuple(unit) if unit.elems.is_empty());
    Ok(Gives {
        fails,
        optional,
        value: given.filter(|given| !is_unit(given)).cloned(),
    })
}

/// `T` of `name<T, …>`, by the last part of its path.
pub(crate) fn inner<'a>(given: &'a Type, name: &str) -> Option<&'a Type> {
    let Type::Path(path) = given else { return None };
    let last = path.path.segments.last().filter(|last| last.ident == name)?;
    let PathArguments::AngleBracketed(arguments) = &last.arguments else {
        return None;
    };
    arguments.args.iter().find_map(|argument| match argument {
        GenericArgument::Type(inner) => Some(inner),
        _ => None,
    })
}

/// Refuses what no attribute of this crate can be put on.
pub(crate) fn plain(function: &ItemFn, what: &str) -> Result<()> {
    let signature = &function.sig;
    if signature.asyncness.is_none() {
        let text = format!(
            "a {what} is an async function: write `async fn {}`",
            signature.ident
        );
        return Err(Error::new(signature.fn_token.span(), text));
    }
    if !signature.generics.params.is_empty() {
        let text = format!("a {what} has no generic parameters: implement the trait, or wrap a call of it");
        return Err(Error::new(signature.generics.span(), text));
    }
    Ok(())
}
