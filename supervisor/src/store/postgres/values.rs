//! Values, as PostgreSQL sends and takes them.

use std::error::Error;
use std::fmt;

use bytes::BytesMut;
use tokio_postgres::Row;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};

use crate::store::statement::Cell;

/// A value does not fit where it was bound.
#[derive(Debug)]
pub(super) struct Misfit(String);

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Misfit {}

impl ToSql for Cell {
    fn to_sql(
        &self,
        ty: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        let misfit = || Misfit(format!("expected a value for {ty}, found {self:?}"));
        match (self, ty) {
            (Self::Null, _) => Ok(IsNull::Yes),
            (Self::Integer(number), &Type::INT8) => number.to_sql(ty, out),
            (Self::Integer(number), &Type::INT4) => i32::try_from(*number)
                .map_err(|_| misfit())?
                .to_sql(ty, out),
            (Self::Integer(number), &Type::INT2) => i16::try_from(*number)
                .map_err(|_| misfit())?
                .to_sql(ty, out),
            (Self::Integer(number), &Type::FLOAT8) => (*number as f64).to_sql(ty, out),
            (Self::Real(number), &Type::FLOAT8) => number.to_sql(ty, out),
            (Self::Text(text), &(Type::TEXT | Type::VARCHAR | Type::NAME | Type::UNKNOWN)) => {
                if text.contains('\0') {
                    // The one character that the server cannot keep.
                    text.replace('\0', "\u{fffd}").to_sql(ty, out)
                } else {
                    text.to_sql(ty, out)
                }
            }
            (Self::Bytes(bytes), &Type::BYTEA) => bytes.to_sql(ty, out),
            _ => Err(misfit().into()),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// Reads one value of a row.
pub(super) fn cell(row: &Row, at: usize) -> Result<Cell, tokio_postgres::Error> {
    let column = row.columns()[at].type_();
    Ok(match *column {
        Type::INT8 => row.try_get::<_, Option<i64>>(at)?.into(),
        Type::INT4 => row.try_get::<_, Option<i32>>(at)?.into(),
        Type::INT2 => row.try_get::<_, Option<i16>>(at)?.map(i32::from).into(),
        Type::BOOL => row.try_get::<_, Option<bool>>(at)?.into(),
        Type::FLOAT8 => row.try_get::<_, Option<f64>>(at)?.into(),
        Type::FLOAT4 => row.try_get::<_, Option<f32>>(at)?.map(f64::from).into(),
        Type::BYTEA => row.try_get::<_, Option<Vec<u8>>>(at)?.into(),
        _ => row.try_get::<_, Option<String>>(at)?.into(),
    })
}
