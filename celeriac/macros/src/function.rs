//! The function under the attribute, taken apart.

use proc_macro2::Ident;
use quote::format_ident;
use syn::ext::IdentExt as _;
use syn::spanned::Spanned as _;
use syn::{
    Attribute, Block, Error, Expr, FnArg, ItemFn, Pat, PatType, Result, ReturnType, Type,
    TypeReference, Visibility, parse_quote,
};

/// A function that can be a task.
pub(crate) struct Function {
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) visibility: Visibility,
    pub(crate) name: Ident,
    pub(crate) is_async: bool,
    /// The context, if the function wants it.
    pub(crate) context: Option<Context>,
    pub(crate) parameters: Vec<Parameter>,
    pub(crate) output: Type,
    pub(crate) body: Block,
}

/// The first parameter, when it is the context.
pub(crate) struct Context {
    pub(crate) declaration: PatType,
    pub(crate) borrowed: bool,
}

/// A parameter that a call fills.
pub(crate) struct Parameter {
    /// As the function declares it, without what is ours.
    pub(crate) declaration: PatType,
    pub(crate) ident: Ident,
    /// What is read from the message.
    pub(crate) owned: Type,
    pub(crate) borrowed: bool,
    pub(crate) absent: Absent,
    pub(crate) takes: Takes,
}

/// How much of a call a parameter takes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Takes {
    One,
    /// `#[args]`: the other positional arguments.
    Args,
    /// `#[kwargs]`: the other keyword arguments.
    Kwargs,
}

/// What a parameter is when a call leaves it out.
pub(crate) enum Absent {
    Error,
    None,
    Default(Expr),
}

impl Parameter {
    /// Returns the name that keyword arguments use.
    pub(crate) fn name(&self) -> String {
        self.ident.unraw().to_string()
    }
}

impl Function {
    pub(crate) fn new(function: ItemFn) -> Result<Self> {
        let ItemFn {
            attrs,
            vis,
            sig,
            block,
        } = function;
        refuse(&sig.constness, "a const fn cannot be a task")?;
        refuse(&sig.unsafety, "an unsafe fn cannot be a task")?;
        refuse(&sig.abi, "an extern fn cannot be a task")?;
        refuse(&sig.variadic, "a variadic fn cannot be a task")?;
        if !sig.generics.params.is_empty() {
            let text = "a task cannot be generic: a message does not carry types";
            return Err(Error::new(sig.generics.span(), text));
        }
        refuse(&sig.generics.where_clause, "a task cannot be generic")?;

        let mut context = None;
        let mut parameters = Vec::new();
        for (at, input) in sig.inputs.into_iter().enumerate() {
            match input {
                FnArg::Receiver(receiver) => {
                    let text = "a task has no self: it is a function of its own";
                    return Err(Error::new(receiver.self_token.span, text));
                }
                FnArg::Typed(input) => match is_context(&input.ty) {
                    None => parameters.push(Parameter::new(input)?),
                    Some(borrowed) if at == 0 => {
                        context = Some(Context {
                            declaration: input,
                            borrowed,
                        });
                    }
                    Some(_) => {
                        let text = "the context must be the first parameter";
                        return Err(Error::new(input.ty.span(), text));
                    }
                },
            }
        }
        in_order(&parameters)?;
        let output = match sig.output {
            ReturnType::Default => parse_quote!(()),
            ReturnType::Type(_, output) => *output,
        };
        if let Type::ImplTrait(hidden) = &output {
            let text = "a task needs a result type with a name, found impl Trait";
            return Err(Error::new(hidden.span(), text));
        }
        Ok(Self {
            attributes: attrs,
            visibility: vis,
            name: sig.ident,
            is_async: sig.asyncness.is_some(),
            context,
            parameters,
            output,
            body: *block,
        })
    }

    /// Tells whether the function returns a `Result`, as far as a name tells.
    pub(crate) fn is_fallible(&self) -> bool {
        last_segment(&self.output).is_some_and(|name| name == "Result")
    }
}

impl Parameter {
    fn new(mut declaration: PatType) -> Result<Self> {
        let ident = match declaration.pat.as_ref() {
            Pat::Ident(pat) if pat.by_ref.is_none() && pat.subpat.is_none() => pat.ident.clone(),
            other => {
                let text = "a task's parameter needs a plain name, by which callers give it";
                return Err(Error::new(other.span(), text));
            }
        };
        let mut default = None;
        let mut takes = Takes::One;
        let mut kept = Vec::new();
        for attribute in std::mem::take(&mut declaration.attrs) {
            if attribute.path().is_ident("default") {
                if default.is_some() {
                    return Err(Error::new(attribute.span(), "one default is enough"));
                }
                default = Some(attribute.parse_args::<Expr>().map_err(|error| {
                    Error::new(error.span(), "expected a value, such as #[default(10)]")
                })?);
            } else if attribute.path().is_ident("args") {
                takes = Takes::Args;
            } else if attribute.path().is_ident("kwargs") {
                takes = Takes::Kwargs;
            } else if attribute.path().is_ident("cfg") || attribute.path().is_ident("cfg_attr") {
                let text = "a task has the same parameters everywhere: put the cfg on the task";
                return Err(Error::new(attribute.span(), text));
            } else {
                kept.push(attribute);
            }
        }
        declaration.attrs = kept;
        let (owned, borrowed) = owned(&declaration.ty)?;
        if let (Some(default), false) = (&default, takes == Takes::One) {
            let text = "a parameter that takes what is left is empty when nothing is";
            return Err(Error::new(default.span(), text));
        }
        let absent = match default {
            Some(value) => Absent::Default(value),
            None if last_segment(&owned).is_some_and(|name| name == "Option") => Absent::None,
            None => Absent::Error,
        };
        Ok(Self {
            declaration,
            ident,
            owned,
            borrowed,
            absent,
            takes,
        })
    }
}

/// Checks that what takes several arguments stands where Python wants it.
fn in_order(parameters: &[Parameter]) -> Result<()> {
    let mut args = parameters.iter().filter(|p| p.takes == Takes::Args);
    if let Some(second) = args.nth(1) {
        let text = "one parameter with #[args] is enough";
        return Err(Error::new(second.ident.span(), text));
    }
    let before_last = parameters.len().saturating_sub(1);
    match parameters[..before_last]
        .iter()
        .find(|p| p.takes == Takes::Kwargs)
    {
        Some(early) => {
            let text = "the parameter with #[kwargs] must be the last";
            Err(Error::new(early.ident.span(), text))
        }
        None => Ok(()),
    }
}

/// Returns the type that is read for a parameter, and whether it is then lent.
fn owned(ty: &Type) -> Result<(Type, bool)> {
    let reference = match ty {
        Type::Reference(reference) => reference,
        Type::ImplTrait(hidden) => {
            let text = "a task's parameter needs a type with a name, found impl Trait";
            return Err(Error::new(hidden.span(), text));
        }
        other => return Ok((other.clone(), false)),
    };
    let TypeReference {
        lifetime,
        mutability,
        elem,
        ..
    } = reference;
    refuse(
        lifetime,
        "an argument lives as long as the call: leave the lifetime out",
    )?;
    refuse(
        mutability,
        "an argument cannot be lent for change: take it by value",
    )?;
    Ok(match elem.as_ref() {
        Type::Path(path) if path.path.is_ident("str") => {
            (parse_quote!(::std::string::String), true)
        }
        Type::Slice(slice) => {
            let item = &slice.elem;
            (parse_quote!(::std::vec::Vec<#item>), true)
        }
        other => (other.clone(), true),
    })
}

/// Tells whether a type is the context, and if so whether it is borrowed.
fn is_context(ty: &Type) -> Option<bool> {
    let (ty, borrowed) = match ty {
        Type::Reference(reference) => (reference.elem.as_ref(), true),
        other => (other, false),
    };
    last_segment(ty)
        .filter(|name| *name == "Context")
        .map(|_| borrowed)
}

fn last_segment(ty: &Type) -> Option<&Ident> {
    match ty {
        Type::Path(path) => path.path.segments.last().map(|segment| &segment.ident),
        Type::Group(group) => last_segment(&group.elem),
        Type::Paren(paren) => last_segment(&paren.elem),
        _ => None,
    }
}

fn refuse<T: quote::ToTokens>(part: &Option<T>, text: &str) -> Result<()> {
    match part {
        Some(part) => Err(Error::new_spanned(part, text)),
        None => Ok(()),
    }
}

/// Returns a local name that cannot clash with a parameter's.
pub(crate) fn hidden(name: &str) -> Ident {
    format_ident!("{name}", span = proc_macro2::Span::mixed_site())
}
