//! `#[case]` turns a documented function into a `Case` constant, `check!`
//! turns a comparison into a verdict that tells what was wanted and what came.
//!
//! Both are re-exported by `ipcspec-harness`; use them from there.

use proc_macro::TokenStream;
use proc_macro2::{Delimiter, TokenTree};
use quote::{ToTokens, quote, quote_spanned};
use syn::parse::{Parse, ParseStream};
use syn::spanned::Spanned;
use syn::visit_mut::{self, VisitMut};
use syn::{
    Attribute, BinOp, Expr, ExprLit, ExprTry, Ident, ItemFn, Lit, LitStr, Meta, Path, Token,
    bracketed, parenthesized, parse_macro_input,
};

/// Declares a case: `#[case(PAGE, "SECTION", …)] fn outcome() -> Verdict`.
///
/// The doc comment is the claim. After the page and its section these may
/// follow, in any order:
///
/// - `settles = ["A03", "pipe.2 EMFILE"]`: claims and documented items that
///   the case decides;
/// - `needs = [Need::…]`: what the run must provide, else the case is skipped;
/// - `also = [(PAGE, "SECTION")]`: further places that say the same;
/// - `deadline = 20`: seconds until the case counts as hanging.
///
/// The function becomes a constant of the same name, to be listed in the
/// module's `CASES`; one that is not listed is dead code.
#[proc_macro_attribute]
pub fn case(args: TokenStream, item: TokenStream) -> TokenStream {
    let args = parse_macro_input!(args as CaseArgs);
    let mut function = parse_macro_input!(item as ItemFn);
    match expand_case(&args, &mut function) {
        Ok(tokens) => tokens.into(),
        Err(error) => error.to_compile_error().into(),
    }
}

struct CaseArgs {
    sources: Vec<Source>,
    settles: Vec<LitStr>,
    needs: Vec<Expr>,
    deadline: Option<Expr>,
}

fn list<T: Parse>(input: ParseStream) -> syn::Result<Vec<T>> {
    let content;
    bracketed!(content in input);
    Ok(content.parse_terminated(T::parse, Token![,])?.into_iter().collect())
}

/// `(PAGE, "SECTION")`
struct Source(Path, LitStr);

impl Parse for Source {
    fn parse(input: ParseStream) -> syn::Result<Self> {
        let content;
        parenthesized!(content in input);
        let page = content.parse()?;
        content.parse::<Token![,]>()?;
        Ok(Self(page, content.parse()?))
    }
}

impl Parse for CaseArgs {
    fn parse(input: ParseStream) -> syn::Result<Self> {
        let page: Path = input.parse()?;
        input.parse::<Token![,]>()?;
        let section: LitStr = input.parse()?;
        let mut args = Self {
            sources: vec![Source(page, section)],
            settles: vec![],
            needs: vec![],
            deadline: None,
        };
        while !input.is_empty() {
            input.parse::<Token![,]>()?;
            if input.is_empty() {
                break;
            }
            let key: Ident = input.parse()?;
            input.parse::<Token![=]>()?;
            match key.to_string().as_str() {
                "settles" => args.settles = list(input)?,
                "needs" => args.needs = list(input)?,
                "also" => args.sources.extend(list(input)?),
                "deadline" => args.deadline = Some(input.parse()?),
                _ => {
                    return Err(syn::Error::new(
                        key.span(),
                        "expected `settles`, `needs`, `also` or `deadline`",
                    ));
                }
            }
        }
        Ok(args)
    }
}

/// The doc comment as one line of text.
fn claim(attributes: &[Attribute]) -> String {
    let mut lines = vec![];
    for attribute in attributes {
        if let Meta::NameValue(meta) = &attribute.meta
            && meta.path.is_ident("doc")
            && let Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) = &meta.value
        {
            lines.push(text.value().trim().to_owned());
        }
    }
    lines.join(" ").trim().to_owned()
}

/// The expression as it is written in the source, on one line.
fn text(expression: &Expr) -> String {
    let tokens: Vec<TokenTree> = expression.to_token_stream().into_iter().collect();
    source_text(&tokens).unwrap_or_else(|| expression.to_token_stream().to_string())
}

/// The text of the source file from the first token to the last. None where
/// they come from different files or out of a macro.
fn source_text(tokens: &[TokenTree]) -> Option<String> {
    let edge = |token: &TokenTree, first: bool| match token {
        TokenTree::Group(group) if group.delimiter() == Delimiter::None => None,
        TokenTree::Group(group) if first => Some(group.span_open().unwrap()),
        TokenTree::Group(group) => Some(group.span_close().unwrap()),
        other => Some(other.span().unwrap()),
    };
    let (first, last) = (edge(tokens.first()?, true)?, edge(tokens.last()?, false)?.end());
    let file = first.local_file()?;
    if last.local_file()? != file || (first.line(), first.column()) >= (last.line(), last.column())
    {
        return None;
    }
    let source = std::fs::read_to_string(file).ok()?;
    let lines: Vec<&str> = source.lines().take(last.line()).skip(first.line() - 1).collect();
    let cut = |line: &str, column: usize| {
        line.char_indices().nth(column - 1).map_or(line.len(), |(index, _)| index)
    };
    let mut text = String::new();
    for (index, line) in lines.iter().enumerate() {
        let end = if index + 1 == lines.len() { cut(line, last.column()) } else { line.len() };
        let start = if index == 0 { cut(line, first.column()) } else { 0 };
        let part = line.get(start..end)?.trim();
        // A method call that was wrapped reads best joined.
        if index > 0 && !part.starts_with('.') && !text.ends_with(['(', '[']) {
            text.push(' ');
        }
        text += part;
    }
    Some(text)
}

/// Wraps every `x?` as `told(x, "x")?`, so that an unexpected error names the
/// call that gave it.
struct TellTries;

impl VisitMut for TellTries {
    fn visit_expr_try_mut(&mut self, node: &mut ExprTry) {
        let text = text(&node.expr);
        visit_mut::visit_expr_try_mut(self, node);
        let inner = &node.expr;
        let span = inner.span();
        node.expr = syn::parse_quote_spanned! { span=>
            ::ipcspec_harness::told(#inner, #text)
        };
    }

    fn visit_item_mut(&mut self, _: &mut syn::Item) {}
}

fn expand_case(args: &CaseArgs, function: &mut ItemFn) -> syn::Result<proc_macro2::TokenStream> {
    let name = function.sig.ident.clone();
    let claim = claim(&function.attrs);
    if claim.is_empty() {
        return Err(syn::Error::new(
            name.span(),
            "a case needs a doc comment: the claim, in one sentence that could be false",
        ));
    }
    if !claim.ends_with('.') {
        return Err(syn::Error::new(
            name.span(),
            "a claim is a sentence and ends with a full stop",
        ));
    }
    TellTries.visit_block_mut(&mut function.block);
    let docs = function.attrs.iter().filter(|a| a.path().is_ident("doc"));
    let others: Vec<_> = function.attrs.iter().filter(|a| !a.path().is_ident("doc")).collect();
    let visibility = &function.vis;
    let signature = &function.sig;
    let block = &function.block;
    let sources = args.sources.iter().map(|Source(page, section)| {
        quote! { ::ipcspec_harness::Source { page: #page, section: #section } }
    });
    let settles = &args.settles;
    let needs = &args.needs;
    let deadline = match &args.deadline {
        Some(seconds) => quote! { #seconds },
        None => quote! { ::ipcspec_harness::Case::DEADLINE_SECONDS },
    };
    let text = name.to_string();
    // Not line!(): in a table of cases that is the line of the table.
    let line = u32::try_from(name.span().unwrap().line()).unwrap_or(0);
    Ok(quote_spanned! { name.span()=>
        #(#docs)*
        #[allow(
            non_upper_case_globals,
            clippy::needless_question_mark
        )]
        #visibility const #name: ::ipcspec_harness::Case = {
            #(#others)*
            #[allow(clippy::unnecessary_wraps)]
            #signature #block
            ::ipcspec_harness::Case {
                module: ::core::module_path!(),
                name: #text,
                claim: #claim,
                sources: &[#(#sources),*],
                settles: &[#(#settles),*],
                needs: &[#(#needs),*],
                deadline_seconds: #deadline,
                file: ::core::file!(),
                line: #line,
                run: #name,
            }
        };
    })
}

/// Declares a wrong kernel: `#[fault(PAGE, "SECTION", on = [READ, …])] fn
/// what_is_wrong(call: &mut Call) -> Result<Effect>`, or `signals` in the
/// place of `on` and `fn what_is_wrong(signal: &mut Arrival) -> Fate`. With
/// `on = […], signals = FUNCTION` that function looks at the signals besides.
///
/// The doc comment says what this kernel does wrong, page and section which
/// sentence that violates. The function becomes a constant of the same name,
/// to be listed in the module's `FAULTS`; one that is not listed is dead code.
#[proc_macro_attribute]
pub fn fault(args: TokenStream, item: TokenStream) -> TokenStream {
    let FaultArgs { source: Source(page, section), on, signals } =
        parse_macro_input!(args as FaultArgs);
    let function = parse_macro_input!(item as ItemFn);
    let (name, says) = (&function.sig.ident, claim(&function.attrs));
    if !says.ends_with('.') {
        let error = "a fault needs a doc comment: what this kernel does wrong, in one sentence";
        return syn::Error::new(name.span(), error).to_compile_error().into();
    }
    let on = match (on, signals) {
        (Some(calls), None) => quote! { ::ipcspec_faults::On::Calls(&[#(#calls),*], #name) },
        (Some(calls), Some(signals)) => {
            quote! { ::ipcspec_faults::On::Both(&[#(#calls),*], #name, #signals) }
        }
        (None, _) => quote! { ::ipcspec_faults::On::Signals(#name) },
    };
    let docs = function.attrs.iter().filter(|a| a.path().is_ident("doc"));
    let (visibility, signature, block) = (&function.vis, &function.sig, &function.block);
    let text = name.to_string();
    quote_spanned! { name.span()=>
        #(#docs)*
        #[allow(non_upper_case_globals)]
        #visibility const #name: ::ipcspec_faults::Fault = {
            #[allow(clippy::unnecessary_wraps)]
            #signature #block
            ::ipcspec_faults::Fault {
                module: ::core::module_path!(),
                name: #text,
                says: #says,
                source: ::ipcspec_harness::Source { page: #page, section: #section },
                on: #on,
            }
        };
    }
    .into()
}

struct FaultArgs {
    source: Source,
    on: Option<Vec<Expr>>,
    signals: Option<Path>,
}

impl Parse for FaultArgs {
    fn parse(input: ParseStream) -> syn::Result<Self> {
        let page: Path = input.parse()?;
        input.parse::<Token![,]>()?;
        let section: LitStr = input.parse()?;
        input.parse::<Token![,]>()?;
        let word: Ident = input.parse()?;
        let on = match word.to_string().as_str() {
            "on" => {
                input.parse::<Token![=]>()?;
                Some(list(input)?)
            }
            "signals" => None,
            _ => return Err(syn::Error::new(word.span(), "`on = [CALLS]` or `signals` is wanted")),
        };
        let mut signals = None;
        if on.is_some() && input.parse::<Option<Token![,]>>()?.is_some() {
            input.parse::<Ident>().and_then(|word| match word.to_string().as_str() {
                "signals" => Ok(()),
                _ => Err(syn::Error::new(word.span(), "`signals = FUNCTION` is wanted")),
            })?;
            input.parse::<Token![=]>()?;
            signals = Some(input.parse()?);
        }
        Ok(Self { source: Source(page, section), on, signals })
    }
}

/// `check!(left == right)`, or another comparison, or any `bool`; an optional
/// format string and its arguments tell the round or the row of a table.
///
/// When it does not hold, the function returns a *violated* verdict with the
/// text of the left side, what was wanted, what came, and the place.
#[proc_macro]
pub fn check(input: TokenStream) -> TokenStream {
    let expansion = expand_check(&parse_macro_input!(input as Check));
    quote! { { #expansion } }.into()
}

/// [`check!`] as a verdict: what a child of one check does with its life, as
/// in `Child::spawn(|| holds!(write(&w, b"x") == Ok(1)))`.
#[proc_macro]
pub fn holds(input: TokenStream) -> TokenStream {
    let expansion = expand_check(&parse_macro_input!(input as Check));
    quote! { { #expansion ::core::result::Result::Ok(()) } }.into()
}

fn expand_check(Check { condition, context }: &Check) -> proc_macro2::TokenStream {
    let span = condition.span();
    let context = match context {
        None => quote! { ::std::string::String::new() },
        Some(tokens) => quote! { ::std::format!(#tokens) },
    };
    match condition {
        Expr::Binary(binary)
            if matches!(
                binary.op,
                BinOp::Eq(_)
                    | BinOp::Ne(_)
                    | BinOp::Lt(_)
                    | BinOp::Le(_)
                    | BinOp::Gt(_)
                    | BinOp::Ge(_)
            ) =>
        {
            let (left, op, right) = (&binary.left, &binary.op, &binary.right);
            let text = text(left);
            let sign = match op {
                BinOp::Eq(_) => "",
                BinOp::Ne(_) => "anything but ",
                BinOp::Lt(_) => "less than ",
                BinOp::Le(_) => "at most ",
                BinOp::Gt(_) => "more than ",
                _ => "at least ",
            };
            quote_spanned! { span=>
                match (&(#left), &(#right)) {
                    (left, right) => if !(*left #op *right) {
                        #[allow(unused_imports)]
                        use ::ipcspec_harness::show::{ViaBytes as _, ViaDebug as _};
                        return ::core::result::Result::Err(::ipcspec_harness::Failure::violated(
                            #text,
                            #context,
                            ::std::format!("{}{}", #sign, (&::ipcspec_harness::show::Shown(right)).shown()),
                            (&::ipcspec_harness::show::Shown(left)).shown(),
                        ));
                    }
                }
            }
        }
        other => {
            let text = text(other);
            quote_spanned! { span=>
                if !(#other) {
                    return ::core::result::Result::Err(::ipcspec_harness::Failure::violated(
                        #text,
                        #context,
                        ::std::string::String::from("true"),
                        ::std::string::String::from("false"),
                    ));
                }
            }
        }
    }
}

struct Check {
    condition: Expr,
    context: Option<proc_macro2::TokenStream>,
}

impl Parse for Check {
    fn parse(input: ParseStream) -> syn::Result<Self> {
        let condition = input.parse()?;
        let mut context = None;
        if !input.is_empty() {
            input.parse::<Token![,]>()?;
            if !input.is_empty() {
                context = Some(input.parse()?);
            }
        }
        Ok(Self { condition, context })
    }
}
