//! From a function to a task.

use proc_macro2::TokenStream;
use quote::{ToTokens as _, quote, quote_spanned};
use syn::ext::IdentExt as _;
use syn::spanned::Spanned as _;
use syn::{Attribute, ItemFn, PatType, Result};

use crate::function::{Absent, Function, Parameter, Takes, hidden};
use crate::options::Options;

/// Expands `#[task(options)] function`.
pub(crate) fn task(options: TokenStream, function: TokenStream) -> Result<TokenStream> {
    let options: Options = syn::parse2(options)?;
    let function: ItemFn = syn::parse2(function).map_err(|error| {
        syn::Error::new(
            error.span(),
            "expected a function: #[task] goes on `fn` or `async fn`",
        )
    })?;
    let function = Function::new(function)?;
    let (name, visibility) = (&function.name, &function.visibility);
    let task_name = match &options.name {
        Some(name) => name.to_token_stream(),
        None => name.unraw().to_string().to_token_stream(),
    };
    let cfgs = only(&function.attributes, &["cfg"]);
    let about = only(&function.attributes, &["deprecated", "allow"]);
    let docs = docs(&function, &format!("The task `{name}`."));
    let call = call(&function, &task_name);
    let run = run(&function);
    let implementation = implementation(&function, &options, &task_name);
    Ok(quote! {
        #cfgs
        #docs
        #about
        #[allow(non_camel_case_types)]
        #[derive(Debug, Clone, Copy, Default)]
        #visibility struct #name;

        #cfgs
        #[automatically_derived]
        #[allow(deprecated)]
        impl #name {
            #call
            #run
        }

        #cfgs
        #[automatically_derived]
        #[allow(deprecated)]
        #implementation
    })
}

/// `call` and `partial`.
fn call(function: &Function, task_name: &TokenStream) -> TokenStream {
    let Function { visibility, .. } = function;
    let docs = docs(function, "Makes a call of the task.");
    let result = result_type(function);
    // What takes several arguments is given them on the call.
    let single = || function.parameters.iter().filter(|p| p.takes == Takes::One);
    let parameters = single().map(
        |Parameter {
             ident, declaration, ..
         }| {
            let ty = &declaration.ty;
            quote!(#ident: #ty)
        },
    );
    let places = function
        .parameters
        .iter()
        .take_while(|p| p.takes == Takes::One);
    let places = places.count();
    let given = single().enumerate().map(|(at, parameter)| {
        let (ident, name) = (&parameter.ident, parameter.name());
        if at < places {
            quote!(.arg(#ident))
        } else {
            quote!(.kwarg(#name, #ident))
        }
    });
    quote! {
        #docs
        #[allow(dead_code, clippy::too_many_arguments)]
        #visibility fn call(&self, #(#parameters),*) -> ::celeriac::Call<#result> {
            ::celeriac::Call::new(#task_name)#(#given)*
        }

        /// Makes a call without arguments, to be given some with `arg` and `kwarg`: a
        /// step of a chain, a callback, or a call that leaves parameters out.
        #[allow(dead_code)]
        #visibility fn partial(&self) -> ::celeriac::Call<#result> {
            ::celeriac::Call::new(#task_name)
        }
    }
}

/// `run`: the function as it was written.
fn run(function: &Function) -> TokenStream {
    let Function {
        visibility,
        output,
        body,
        ..
    } = function;
    let docs = docs(function, "Runs the task's function here and now.");
    let attributes = function.attributes.iter().filter(|attribute| {
        !["doc", "cfg", "deprecated"]
            .iter()
            .any(|n| attribute.path().is_ident(n))
    });
    let asyncness = function.is_async.then(|| quote!(async));
    let context = function.context.iter().map(|context| &context.declaration);
    let parameters = function
        .parameters
        .iter()
        .map(|parameter| &parameter.declaration);
    let inputs = context.chain(parameters).map(PatType::to_token_stream);
    let output = match output {
        syn::Type::Tuple(tuple) if tuple.elems.is_empty() => TokenStream::new(),
        output => quote!(-> #output),
    };
    quote! {
        #docs
        #(#attributes)*
        #visibility #asyncness fn run(#(#inputs),*) #output #body
    }
}

/// The implementation of the trait.
fn implementation(function: &Function, options: &Options, task_name: &TokenStream) -> TokenStream {
    let Function { name, is_async, .. } = function;
    let result = result_type(function);
    let (defaults, arguments, context) =
        (hidden("options"), hidden("arguments"), hidden("context"));
    let assignments = options.assignments(&defaults);
    let options = (!assignments.is_empty()).then(|| {
        quote! {
            #[allow(clippy::field_reassign_with_default)]
            fn options(&self) -> ::celeriac::task::TaskOptions {
                let mut #defaults = ::celeriac::task::TaskOptions::default();
                #assignments
                #defaults
            }
        }
    });
    let parameters = function.parameters.iter().map(|parameter| {
        let name = parameter.name();
        let kind = match (parameter.takes, &parameter.absent) {
            (Takes::Args, _) => quote!(args),
            (Takes::Kwargs, _) => quote!(kwargs),
            (Takes::One, Absent::Error) => quote!(required),
            (Takes::One, _) => quote!(optional),
        };
        quote!(::celeriac::task::Parameter::#kind(#name))
    });
    let decoded = function
        .parameters
        .iter()
        .map(|parameter| decode(parameter, &arguments));
    let lent = |borrowed: bool| borrowed.then(|| quote!(&));
    let passed = function
        .context
        .iter()
        .map(|context| (lent(context.borrowed), hidden("context")))
        .chain(
            function
                .parameters
                .iter()
                .map(|p| (lent(p.borrowed), p.ident.clone())),
        )
        .map(|(lent, ident)| quote!(#lent #ident));
    // The span of the result makes the compiler point at it when it cannot be sent.
    let outcome = function.output.span();
    let run = quote!(<#name>::run(#(#passed),*));
    let run = if *is_async { quote!(#run.await) } else { run };
    let run = if function.is_fallible() {
        quote_spanned!(outcome=> ::celeriac::task::IntoTaskResult::into_task_result(#run))
    } else {
        quote_spanned!(outcome=> ::celeriac::task::encode(&#run))
    };
    let execution = if *is_async {
        quote!(Async(::std::boxed::Box::pin(async move { #run })))
    } else {
        quote!(Blocking(::std::boxed::Box::new(move || #run)))
    };
    let unused_context = function
        .context
        .is_none()
        .then(|| quote!(let _ = #context;));
    let (mutable, unused_arguments) = if function.parameters.is_empty() {
        (None, Some(quote!(let _ = #arguments;)))
    } else {
        (Some(quote!(mut)), None)
    };
    quote! {
        impl ::celeriac::task::Task for #name {
            type Output = #result;

            fn name(&self) -> &'static str {
                #task_name
            }

            #options

            fn parameters(&self) -> &'static [::celeriac::task::Parameter] {
                const { &[#(#parameters),*] }
            }

            fn start(
                &self,
                #context: ::celeriac::task::Context,
                #mutable #arguments: ::celeriac::task::Arguments<'_>,
            ) -> ::core::result::Result<
                ::celeriac::task::Execution,
                ::celeriac::protocol::DecodeError,
            > {
                #unused_context
                #unused_arguments
                #(#decoded)*
                ::core::result::Result::Ok(::celeriac::task::Execution::#execution)
            }
        }
    }
}

/// Reads one argument into a local of its own name.
fn decode(parameter: &Parameter, arguments: &syn::Ident) -> TokenStream {
    let Parameter {
        ident,
        owned,
        absent,
        takes,
        ..
    } = parameter;
    let read = match (takes, absent) {
        (Takes::Args, _) => quote!(args()),
        (Takes::Kwargs, _) => quote!(kwargs()),
        (Takes::One, Absent::Error) => quote!(required()),
        (Takes::One, Absent::None) => quote!(or_else(|| ::core::option::Option::None)),
        (Takes::One, Absent::Default(value)) => quote!(or_else(|| #value)),
    };
    let value = quote_spanned!(owned.span()=> #arguments.#read?);
    quote!(let #ident: #owned = #value;)
}

/// What callers get: the value inside a `Result`, else the type itself.
fn result_type(function: &Function) -> TokenStream {
    let output = &function.output;
    if function.is_fallible() {
        quote_spanned!(output.span()=> <#output as ::celeriac::task::IntoTaskResult>::Output)
    } else {
        output.to_token_stream()
    }
}

/// The function's own documentation, or else `instead`.
fn docs(function: &Function, instead: &str) -> TokenStream {
    let docs = only(&function.attributes, &["doc"]);
    if docs.is_empty() {
        quote!(#[doc = #instead])
    } else {
        docs
    }
}

fn only(attributes: &[Attribute], names: &[&str]) -> TokenStream {
    let is_one = |attribute: &&Attribute| names.iter().any(|name| attribute.path().is_ident(name));
    attributes
        .iter()
        .filter(is_one)
        .map(quote::ToTokens::to_token_stream)
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn error(function: &str) -> String {
        task(TokenStream::new(), function.parse().unwrap())
            .unwrap_err()
            .to_string()
    }

    fn expansion(options: &str, function: &str) -> String {
        let tokens = task(options.parse().unwrap(), function.parse().unwrap()).unwrap();
        // What is no Rust fails here and not in somebody's crate.
        syn::parse2::<syn::File>(tokens.clone()).unwrap();
        tokens.to_string().replace(' ', "")
    }

    #[test]
    fn the_function_moves_to_run_as_it_was() {
        let text = expansion(
            "",
            "pub(crate) async fn add(x: i64, mut y: i64) -> i64 { y += x; y }",
        );
        assert!(text.contains("pub(crate)structadd;"), "{text}");
        assert!(
            text.contains("pub(crate)asyncfnrun(x:i64,muty:i64)->i64{y+=x;y}"),
            "{text}"
        );
        assert!(
            text.contains("pub(crate)fncall(&self,x:i64,y:i64)->::celeriac::Call<i64>"),
            "{text}"
        );
        assert!(
            text.contains(r#"::celeriac::Call::new("add").arg(x).arg(y)"#),
            "{text}"
        );
        assert!(text.contains(r#"Parameter::required("y")"#), "{text}");
        assert!(!text.contains("fnoptions"), "{text}");
    }

    #[test]
    fn a_plain_function_blocks() {
        let text = expansion(
            r#"name = "demo.sum""#,
            "fn sum(xs: &[f64]) -> f64 { xs.iter().sum() }",
        );
        assert!(text.contains("Execution::Blocking("), "{text}");
        assert!(
            text.contains("letxs:::std::vec::Vec<f64>=arguments.required()?;"),
            "{text}"
        );
        assert!(text.contains("<sum>::run(&xs)"), "{text}");
        assert!(text.contains(r#"->&'staticstr{"demo.sum"}"#), "{text}");
    }

    #[test]
    fn the_context_is_no_argument() {
        for (ty, passed) in [("celeriac::Context", "context"), ("&Context", "&context")] {
            let text = expansion("", &format!("async fn f(ctx: {ty}, n: u8) {{}}"));
            assert!(text.contains("fncall(&self,n:u8)"), "{text}");
            assert!(
                text.contains(&format!("<f>::run({passed},n).await")),
                "{text}"
            );
        }
    }

    #[test]
    fn optional_parameters_may_be_absent() {
        let text = expansion(
            "",
            "async fn f(a: Option<u8>, #[default(7)] b: u8, r#type: &str) {}",
        );
        assert!(
            text.contains("leta:Option<u8>=arguments.or_else(||::core::option::Option::None)?;"),
            "{text}"
        );
        assert!(text.contains("letb:u8=arguments.or_else(||7)?;"), "{text}");
        assert!(
            text.contains("asyncfnrun(a:Option<u8>,b:u8,r#type:&str)"),
            "{text}"
        );
        assert!(text.contains(r#"Parameter::optional("b")"#), "{text}");
        assert!(text.contains(r#"Parameter::required("type")"#), "{text}");
    }

    #[test]
    fn what_takes_several_is_no_parameter_of_call() {
        let text = expansion(
            "",
            "async fn f(a: u8, #[args] rest: Vec<u8>, #[default(1)] b: u8, #[kwargs] more: Table) {}",
        );
        assert!(text.contains("fncall(&self,a:u8,b:u8)"), "{text}");
        assert!(text.contains(r#".arg(a).kwarg("b",b)"#), "{text}");
        assert!(
            text.contains("letrest:Vec<u8>=arguments.args()?;"),
            "{text}"
        );
        assert!(
            text.contains("letmore:Table=arguments.kwargs()?;"),
            "{text}"
        );
        assert!(text.contains(r#"Parameter::args("rest")"#), "{text}");
        assert!(text.contains(r#"Parameter::kwargs("more")"#), "{text}");
    }

    #[test]
    fn a_result_is_told_by_its_name() {
        let text = expansion("", "async fn f() -> std::io::Result<u8> { Ok(1) }");
        assert!(
            text.contains("Call<<std::io::Result<u8>as::celeriac::task::IntoTaskResult>::Output>"),
            "{text}"
        );
        assert!(text.contains("into_task_result("), "{text}");
        assert!(expansion("", "async fn f() {}").contains("::celeriac::Call<()>"));
    }

    #[test]
    fn attributes_go_where_they_belong() {
        let text = expansion(
            "",
            "/// Adds.\n#[cfg(unix)] #[must_use] #[deprecated] fn f() {}",
        );
        assert_eq!(text.matches("#[cfg(unix)]").count(), 3, "{text}");
        assert_eq!(text.matches("#[must_use]").count(), 1, "{text}");
        assert_eq!(text.matches("#[deprecated]").count(), 1, "{text}");
        assert_eq!(text.matches("Adds.").count(), 3, "{text}");
    }

    #[test]
    fn what_cannot_be_a_task_is_told_why() {
        for (function, text) in [
            (
                "struct A;",
                "expected a function: #[task] goes on `fn` or `async fn`",
            ),
            (
                "fn f(self) {}",
                "a task has no self: it is a function of its own",
            ),
            (
                "fn f<T>(x: T) {}",
                "a task cannot be generic: a message does not carry types",
            ),
            ("unsafe fn f() {}", "an unsafe fn cannot be a task"),
            ("const fn f() {}", "a const fn cannot be a task"),
            ("extern \"C\" fn f() {}", "an extern fn cannot be a task"),
            (
                "fn f((a, b): (u8, u8)) {}",
                "a task's parameter needs a plain name, by which callers give it",
            ),
            (
                "fn f(_: u8) {}",
                "a task's parameter needs a plain name, by which callers give it",
            ),
            (
                "fn f(a: u8, c: Context) {}",
                "the context must be the first parameter",
            ),
            (
                "fn f(a: &mut u8) {}",
                "an argument cannot be lent for change: take it by value",
            ),
            (
                "fn f(a: &'static str) {}",
                "an argument lives as long as the call: leave the lifetime out",
            ),
            (
                "fn f(a: impl Copy) {}",
                "a task's parameter needs a type with a name, found impl Trait",
            ),
            (
                "fn f() -> impl Copy { 1 }",
                "a task needs a result type with a name, found impl Trait",
            ),
            (
                "fn f(#[default] a: u8) {}",
                "expected a value, such as #[default(10)]",
            ),
            (
                "fn f(#[default(1)] #[default(2)] a: u8) {}",
                "one default is enough",
            ),
            (
                "fn f(#[args] a: Vec<u8>, #[args] b: Vec<u8>) {}",
                "one parameter with #[args] is enough",
            ),
            (
                "fn f(#[kwargs] a: Table, b: u8) {}",
                "the parameter with #[kwargs] must be the last",
            ),
            (
                "fn f(#[args] #[default(x)] a: Vec<u8>) {}",
                "a parameter that takes what is left is empty when nothing is",
            ),
            (
                "fn f(#[cfg(unix)] a: u8) {}",
                "a task has the same parameters everywhere: put the cfg on the task",
            ),
        ] {
            assert_eq!(error(function), text, "{function}");
        }
    }
}
