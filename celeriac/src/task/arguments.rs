//! Binds what a message carries to the parameters of a task.

use std::borrow::Cow;

use celeriac_protocol::error::{DecodeError, Fault};
use celeriac_protocol::{Raw, Table, Value};
use serde::de::DeserializeOwned;

/// A parameter of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parameter {
    /// Its name, by which keyword arguments find it.
    pub name: &'static str,
    /// What it takes.
    pub kind: ParameterKind,
}

/// What a parameter takes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParameterKind {
    /// One argument, which must be there.
    Required,
    /// One argument, or none.
    Optional,
    /// Every further positional argument, as Python's `*args`. What comes after it is
    /// found by its name only.
    Args,
    /// Every keyword argument that no other parameter has the name of, as Python's
    /// `**kwargs`.
    Kwargs,
}

impl Parameter {
    /// Makes a parameter that a call must fill.
    pub const fn required(name: &'static str) -> Self {
        let kind = ParameterKind::Required;
        Self { name, kind }
    }

    /// Makes a parameter that a call may leave out.
    pub const fn optional(name: &'static str) -> Self {
        let kind = ParameterKind::Optional;
        Self { name, kind }
    }

    /// Makes a parameter that takes the other positional arguments.
    pub const fn args(name: &'static str) -> Self {
        let kind = ParameterKind::Args;
        Self { name, kind }
    }

    /// Makes a parameter that takes the other keyword arguments.
    pub const fn kwargs(name: &'static str) -> Self {
        let kind = ParameterKind::Kwargs;
        Self { name, kind }
    }

    fn is_one(&self) -> bool {
        matches!(self.kind, ParameterKind::Required | ParameterKind::Optional)
    }

    fn is_required(&self) -> bool {
        self.kind == ParameterKind::Required
    }
}

/// The arguments of a call, bound to parameters and not yet decoded.
///
/// Binding follows Python: positional arguments fill parameters from the left,
/// keyword arguments fill them by name, none is filled twice, none is left over
/// unless a parameter takes what is left.
#[derive(Debug)]
pub struct Arguments<'a> {
    task: &'static str,
    bound: Vec<Option<Raw<'a>>>,
    args: Vec<Raw<'a>>,
    kwargs: Vec<(Cow<'a, str>, Raw<'a>)>,
    parameters: &'static [Parameter],
    next: usize,
}

impl<'a> Arguments<'a> {
    /// Binds arguments to parameters.
    ///
    /// # Errors
    ///
    /// In the words of Python's `TypeError`: too many, unknown, twice, missing.
    pub fn new(
        task: &'static str,
        parameters: &'static [Parameter],
        mut args: Vec<Raw<'a>>,
        kwargs: Vec<(Cow<'a, str>, Raw<'a>)>,
    ) -> Result<Self, DecodeError> {
        let places = parameters
            .iter()
            .position(|parameter| !parameter.is_one())
            .unwrap_or(parameters.len());
        let has = |kind| parameters.iter().any(|parameter| parameter.kind == kind);
        let mut further = Vec::new();
        if args.len() > places {
            if !has(ParameterKind::Args) {
                return Err(mismatch(
                    task,
                    format!("{places} positional arguments"),
                    format!("{}", args.len()),
                ));
            }
            further = args.split_off(places);
        }
        let mut bound: Vec<Option<Raw<'a>>> = Vec::with_capacity(parameters.len());
        bound.extend(args.into_iter().map(Some));
        bound.resize_with(parameters.len(), || None);
        let mut unnamed = Vec::new();
        for (name, value) in kwargs {
            let Some(at) = parameters
                .iter()
                .position(|parameter| parameter.is_one() && parameter.name == name)
            else {
                if has(ParameterKind::Kwargs) {
                    unnamed.push((name, value));
                    continue;
                }
                let ones = parameters.iter().filter(|parameter| parameter.is_one());
                let known: Vec<_> = ones.map(|parameter| parameter.name).collect();
                return Err(mismatch(
                    task,
                    format!("keyword arguments among [{}]", known.join(", ")),
                    format!("an unexpected keyword argument '{name}'"),
                ));
            };
            if bound[at].is_some() {
                return Err(mismatch(
                    task,
                    format!("one value for argument '{name}'"),
                    "multiple values".to_owned(),
                ));
            }
            bound[at] = Some(value);
        }
        let missing: Vec<_> = parameters
            .iter()
            .zip(&bound)
            .filter(|(parameter, value)| parameter.is_required() && value.is_none())
            .map(|(parameter, _)| format!("'{}'", parameter.name))
            .collect();
        if !missing.is_empty() {
            return Err(mismatch(
                task,
                format!(
                    "{} required arguments",
                    parameters.iter().filter(|p| p.is_required()).count()
                ),
                format!("{} missing: {}", missing.len(), missing.join(", ")),
            ));
        }
        Ok(Self {
            task,
            bound,
            args: further,
            kwargs: unnamed,
            parameters,
            next: 0,
        })
    }

    /// Decodes the next parameter; `None` when the call left it out.
    ///
    /// # Errors
    ///
    /// When the value is not of type `T`.
    pub fn optional<T: DeserializeOwned>(&mut self) -> Result<Option<T>, DecodeError> {
        let at = self.next;
        let parameter = self.skip();
        match self.bound.get_mut(at).and_then(Option::take) {
            None => Ok(None),
            Some(raw) => raw
                .decode()
                .map(Some)
                .map_err(|error| within(error, self.task, parameter)),
        }
    }

    /// Decodes the next parameter, which must be there.
    ///
    /// # Errors
    ///
    /// When the value is missing or not of type `T`.
    pub fn required<T: DeserializeOwned>(&mut self) -> Result<T, DecodeError> {
        let name = self
            .parameters
            .get(self.next)
            .map_or("", |parameter| parameter.name);
        self.optional()?.ok_or_else(|| {
            mismatch(
                self.task,
                format!("argument '{name}'"),
                "nothing".to_owned(),
            )
        })
    }

    /// Decodes the next parameter, or takes the default when the call left it out.
    ///
    /// # Errors
    ///
    /// When the value is not of type `T`.
    pub fn or_else<T: DeserializeOwned>(
        &mut self,
        default: impl FnOnce() -> T,
    ) -> Result<T, DecodeError> {
        Ok(self.optional()?.unwrap_or_else(default))
    }

    /// Decodes the positional arguments that no parameter before took.
    ///
    /// # Errors
    ///
    /// When one of them is not of type `T`.
    pub fn args<T: DeserializeOwned>(&mut self) -> Result<Vec<T>, DecodeError> {
        let parameter = self.skip();
        let args = std::mem::take(&mut self.args).into_iter();
        args.map(|raw| raw.decode())
            .collect::<Result<_, _>>()
            .map_err(|error| within(error, self.task, parameter))
    }

    /// Decodes the keyword arguments that no parameter has the name of, into a map or a
    /// struct.
    ///
    /// # Errors
    ///
    /// When they are not what `T` takes.
    pub fn kwargs<T: DeserializeOwned>(&mut self) -> Result<T, DecodeError> {
        let parameter = self.skip();
        let mut table = Table::with_capacity(self.kwargs.len());
        let decoded = std::mem::take(&mut self.kwargs)
            .into_iter()
            .try_for_each(|(name, raw)| {
                table.insert(name, raw.decode::<Value>()?);
                Ok(())
            });
        decoded
            .and_then(|()| Value::Map(table).to())
            .map_err(|error| within(error, self.task, parameter))
    }

    /// Goes on to the next parameter and returns the name of this one.
    fn skip(&mut self) -> &'static str {
        let name = self
            .parameters
            .get(self.next)
            .map_or("", |parameter| parameter.name);
        self.next += 1;
        name
    }
}

fn mismatch(task: &str, expected: String, found: String) -> DecodeError {
    DecodeError::new(Fault::Arguments, format!("{task}()"), expected, found)
}

fn within(mut error: DecodeError, task: &str, parameter: &str) -> DecodeError {
    // Whatever is wrong with the bytes of one argument, the call is to blame.
    error.fault = Fault::Arguments;
    error.place = format!("{task}(), argument '{parameter}'");
    error
}

#[cfg(test)]
mod tests {
    use celeriac_protocol::Codec;

    use super::*;

    const XY: &[Parameter] = &[
        Parameter::required("x"),
        Parameter::required("y"),
        Parameter::optional("z"),
    ];

    fn raw(text: &str) -> Raw<'_> {
        Raw {
            codec: Codec::Json,
            bytes: Cow::Borrowed(text.as_bytes()),
        }
    }

    fn bind<'a>(args: &[&'a str], kwargs: &[(&'a str, &'a str)]) -> Result<Arguments<'a>, String> {
        Arguments::new(
            "add",
            XY,
            args.iter().map(|text| raw(text)).collect(),
            kwargs
                .iter()
                .map(|(name, text)| (Cow::Borrowed(*name), raw(text)))
                .collect(),
        )
        .map_err(|error| error.to_string())
    }

    #[test]
    fn positions_first_then_names() {
        let mut bound = bind(&["1"], &[("y", "2")]).unwrap();
        assert_eq!(bound.required::<i64>().unwrap(), 1);
        assert_eq!(bound.required::<i64>().unwrap(), 2);
        assert_eq!(bound.or_else(|| 7_i64).unwrap(), 7);
    }

    #[test]
    fn every_mismatch_says_what_was_wrong() {
        for (args, kwargs, text) in [
            (
                &["1"][..],
                &[][..],
                "add(): expected 2 required arguments, found 1 missing: 'y'",
            ),
            (
                &["1", "2", "3", "4"],
                &[],
                "add(): expected 3 positional arguments, found 4",
            ),
            (
                &["1"],
                &[("x", "2")],
                "add(): expected one value for argument 'x', found multiple values",
            ),
            (
                &["1", "2"],
                &[("w", "2")],
                "add(): expected keyword arguments among [x, y, z], found an unexpected keyword argument 'w'",
            ),
        ] {
            assert_eq!(bind(args, kwargs).err().as_deref(), Some(text));
        }
    }

    #[test]
    fn what_is_left_goes_where_it_may() {
        const MANY: &[Parameter] = &[
            Parameter::required("x"),
            Parameter::args("rest"),
            Parameter::optional("y"),
            Parameter::kwargs("more"),
        ];
        let bind = |args: &[&'static str], kwargs: &[(&'static str, &'static str)]| {
            let args = args.iter().map(|text| raw(text)).collect();
            let kwargs = kwargs
                .iter()
                .map(|(name, text)| (Cow::Borrowed(*name), raw(text)));
            Arguments::new("many", MANY, args, kwargs.collect())
        };
        let mut bound = bind(&["1", "2", "3"], &[("z", "5"), ("y", "4"), ("rest", "6")]).unwrap();
        assert_eq!(bound.required::<i64>(), Ok(1));
        assert_eq!(bound.args::<i64>(), Ok(vec![2, 3]));
        assert_eq!(bound.optional::<i64>(), Ok(Some(4)));
        let mut more = Table::new();
        more.insert("z", 5_i64);
        more.insert("rest", 6_i64);
        assert_eq!(bound.kwargs::<Value>(), Ok(Value::Map(more)));

        let mut bound = bind(&["1", "\"two\""], &[]).unwrap();
        assert_eq!(bound.required::<i64>(), Ok(1));
        let error = bound.args::<i64>().unwrap_err().to_string();
        assert!(error.starts_with("many(), argument 'rest': "), "{error}");
        assert_eq!(bound.optional::<i64>(), Ok(None));
        assert_eq!(bound.kwargs::<Table>(), Ok(Table::new()));
        assert!(bind(&[], &[("y", "1")]).is_err());
    }

    #[test]
    fn a_wrong_type_names_the_argument() {
        let mut bound = bind(&["\"one\"", "2"], &[]).unwrap();
        let error = bound.required::<i64>().unwrap_err();
        assert_eq!(error.fault, Fault::Arguments);
        assert!(
            error
                .to_string()
                .starts_with("add(), argument 'x': expected "),
            "{error}"
        );
    }
}
