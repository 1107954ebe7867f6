//! The service that tonic's router serves: which path is which method.

use std::convert::Infallible;
use std::task::{Context, Poll};

use prost::Message;
use tonic::body::Body;
use tonic::codegen::{Body as HttpBody, BoxFuture, BoxStream, Service, StdError, http};
use tonic::server::{Grpc, NamedService, ServerStreamingService, UnaryService};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

use super::{IsActiveResponse, ScaledObjectRef};
use crate::scale::scaler::Scaler;

/// KEDA's `externalscaler.ExternalScaler`.
#[derive(Debug, Clone)]
pub(in crate::scale) struct ScalerService(pub(in crate::scale) Scaler);

/// What a stream says.
pub(in crate::scale) type Streamed = BoxStream<IsActiveResponse>;

/// A method that takes one message and answers with one.
struct Unary<T, R>(Option<Method<T, R>>);

type Method<T, R> = Box<dyn FnOnce(T) -> BoxFuture<R, Status> + Send>;

/// The method that answers with a stream.
struct Push(Scaler);

/// The largest message: a ScaledObject's metadata is some lines.
const MESSAGE: usize = 64 * 1024;

impl NamedService for ScalerService {
    const NAME: &'static str = "externalscaler.ExternalScaler";
}

impl<B> Service<http::Request<B>> for ScalerService
where
    B: HttpBody + Send + 'static,
    B::Error: Into<StdError> + Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let scaler = self.0.clone();
        // The router brings only paths that begin with the service's name.
        let path = request.uri().path().to_owned();
        match path.rsplit('/').next().unwrap_or_default() {
            "IsActive" => unary(request, |asked| {
                Box::pin(async move { scaler.is_active(asked).await })
            }),
            "GetMetricSpec" => unary(request, |asked| {
                Box::pin(async move { scaler.metric_spec(asked).await })
            }),
            "GetMetrics" => unary(request, |asked| {
                Box::pin(async move { scaler.metrics(asked).await })
            }),
            "StreamIsActive" => Box::pin(async move {
                let mut grpc = Grpc::new(ProstCodec::default()).max_decoding_message_size(MESSAGE);
                Ok(grpc.server_streaming(Push(scaler), request).await)
            }),
            _ => {
                let text = "expected IsActive, StreamIsActive, GetMetricSpec or GetMetrics, found \
                            another method";
                let answer = Status::unimplemented(text).into_http();
                Box::pin(std::future::ready(Ok(answer)))
            }
        }
    }
}

fn unary<B, T, R>(
    request: http::Request<B>,
    call: impl FnOnce(T) -> BoxFuture<R, Status> + Send + 'static,
) -> BoxFuture<http::Response<Body>, Infallible>
where
    B: HttpBody + Send + 'static,
    B::Error: Into<StdError> + Send + 'static,
    T: Message + Default + 'static,
    R: Message + 'static,
{
    let method = Unary(Some(Box::new(call)));
    Box::pin(async move {
        let mut grpc = Grpc::new(ProstCodec::default()).max_decoding_message_size(MESSAGE);
        Ok(grpc.unary(method, request).await)
    })
}

impl<T, R> UnaryService<T> for Unary<T, R>
where
    T: Send + 'static,
    R: Send + 'static,
{
    type Response = R;
    type Future = BoxFuture<Response<R>, Status>;

    fn call(&mut self, request: Request<T>) -> Self::Future {
        let call = self.0.take();
        Box::pin(async move {
            // One request, one call.
            let call = call.ok_or_else(|| Status::internal("the method was called twice"))?;
            call(request.into_inner()).await.map(Response::new)
        })
    }
}

impl ServerStreamingService<ScaledObjectRef> for Push {
    type Response = IsActiveResponse;
    type ResponseStream = Streamed;
    type Future = BoxFuture<Response<Streamed>, Status>;

    fn call(&mut self, request: Request<ScaledObjectRef>) -> Self::Future {
        let stream = self.0.stream_is_active(&request.into_inner());
        Box::pin(std::future::ready(stream.map(Response::new)))
    }
}
