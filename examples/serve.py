"""An exported image classifier behind HTTP: concurrent requests are answered by one call of the model.

It needs TensorFlow, the export and `pip install starlette uvicorn prometheus-client`; neither Keras nor this package.
Make a model by `trainer.export("served/1")`, with uint8 images and a `Classification` task, then:

    python examples/serve.py served/1 --port 8501
    curl -H "Content-Type: image/png" --data-binary @cat.png http://127.0.0.1:8501/predict

answers `{"class_id": 3, "probabilities": [...], "class_name": "cat"}`, the name only if the task has `class_names`.

    POST /predict   a JPEG or PNG file as the body, of any size in pixels
    GET  /health    200 as long as the process runs
    GET  /ready     503 while the queue is full, so that a load balancer sends requests elsewhere
    GET  /metrics   for Prometheus

400: empty body; 413: too large; 415: another content type; 422: no whole image; 503: the queue is full; 504: too slow.
On SIGTERM it takes no more requests and finishes those that it has. It has no TLS and no login: keep it behind a proxy.
"""

import argparse
import asyncio
import contextlib

import prometheus_client
import tensorflow as tf
import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

REQUESTS = prometheus_client.Counter("predict_requests", "Requests to /predict, by status.", ["status"])
SECONDS = prometheus_client.Histogram("predict_seconds", "From the first byte of a request to its answer.")
BATCH_SIZES = prometheus_client.Histogram("model_batch_size", "Images in a call.", buckets=[2**n for n in range(11)])
QUEUED = prometheus_client.Gauge("queued_images", "Images that wait for the model.")
MEDIA_TYPES = ("image/jpeg", "image/png")


class Batcher:
    """Answers images one by one, and asks the model for all that arrive within a short time at once."""

    def __init__(self, model, *, max_batch_size, max_wait, queue_size):
        self._call = model.signatures["encoded"]
        self._max_batch_size, self._max_wait = max_batch_size, max_wait
        self._queue = asyncio.Queue(queue_size)
        QUEUED.set_function(self._queue.qsize)

    @property
    def is_full(self):
        """Whether another image would be refused."""
        return self._queue.full()

    async def answer(self, image):
        """What the model says of the bytes of an image.

        Raises:
            asyncio.QueueFull: at once, when too many wait.
            tf.errors.InvalidArgumentError: for bytes that are no image.
        """
        answered = asyncio.get_running_loop().create_future()
        self._queue.put_nowait((image, answered))
        return await answered

    async def run(self):
        """Asks the model, batch after batch, until it is cancelled."""
        while True:
            batch = [await self._queue.get()]
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._fill(batch), self._max_wait)
            batch = [(image, answered) for image, answered in batch if not answered.done()]
            if batch:
                answers = await asyncio.to_thread(self._answers, [image for image, _ in batch])
                for (_, answered), answer in zip(batch, answers, strict=True):
                    if not answered.done():  # Its client may have given up meanwhile.
                        set_answer = answered.set_exception if isinstance(answer, Exception) else answered.set_result
                        set_answer(answer)

    async def _fill(self, batch):
        while len(batch) < self._max_batch_size:
            batch.append(await self._queue.get())

    def _answers(self, images):
        """An answer or an error for each image: a broken one fails its batch, which is then asked one by one."""
        BATCH_SIZES.observe(len(images))
        try:
            outputs = {name: tensor.numpy() for name, tensor in self._call(image_bytes=tf.constant(images)).items()}
        except Exception as error:
            return [error] if len(images) == 1 else [self._answers([image])[0] for image in images]
        return [{name: array[place] for name, array in outputs.items()} for place in range(len(images))]


async def read_body(request, max_bytes):
    """The body of a request, as long as it is not too large."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > max_bytes:
            raise HTTPException(413, f"The body must not be larger than {max_bytes} bytes.")
    if not body:
        raise HTTPException(400, "The body is empty. Send the bytes of a JPEG or PNG file.")
    return bytes(body)


def make_app(path, arguments):
    """The service for the SavedModel at a path."""
    model = tf.saved_model.load(path)
    if "encoded" not in model.signatures:
        raise SystemExit(
            f"{path} must have the signature `encoded`, which takes the bytes of files. Received: "
            f"{sorted(model.signatures)}. Export a trainer whose examples are uint8 images."
        )
    batcher = Batcher(
        model,
        max_batch_size=arguments.max_batch_size,
        max_wait=arguments.max_wait_ms / 1000,
        queue_size=arguments.queue_size,
    )

    @contextlib.asynccontextmanager
    async def lifespan(app):
        running = asyncio.create_task(batcher.run())
        yield
        running.cancel()

    async def answer(request):
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() not in MEDIA_TYPES:
            raise HTTPException(415, f"The content type must be one of {', '.join(MEDIA_TYPES)}.")
        image = await read_body(request, arguments.max_body_bytes)
        try:
            return await batcher.answer(image)
        except asyncio.QueueFull as error:
            raise HTTPException(503, "Too many requests wait.", {"Retry-After": "1"}) from error
        except tf.errors.InvalidArgumentError as error:
            raise HTTPException(422, "The body is no whole JPEG or PNG image.") from error

    async def predict(request):
        status = 500
        try:
            with SECONDS.time():
                outputs = await asyncio.wait_for(answer(request), arguments.timeout_s)
            status = 200
        except asyncio.TimeoutError as error:
            status = 504
            raise HTTPException(status, f"No answer within {arguments.timeout_s} seconds.") from error
        except HTTPException as error:
            status = error.status_code
            raise
        finally:
            REQUESTS.labels(status).inc()
        answered = {"class_id": int(outputs["class_ids"]), "probabilities": outputs["probabilities"].tolist()}
        if "class_names" in outputs:
            answered["class_name"] = outputs["class_names"].decode()
        return JSONResponse(answered)

    async def health(request):
        return PlainTextResponse("ok")

    async def ready(request):
        return PlainTextResponse("full", 503) if batcher.is_full else PlainTextResponse("ok")

    async def metrics(request):
        return Response(prometheus_client.generate_latest(), media_type=prometheus_client.CONTENT_TYPE_LATEST)

    async def as_json(request, error):
        return JSONResponse({"error": error.detail}, error.status_code, error.headers)

    return Starlette(
        routes=[
            Route("/predict", predict, methods=["POST"]),
            Route("/health", health),
            Route("/ready", ready),
            Route("/metrics", metrics),
        ],
        exception_handlers={HTTPException: as_json},
        lifespan=lifespan,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", help="directory of the SavedModel")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8501)
    parser.add_argument("--max-batch-size", type=int, default=32, help="images in one call of the model")
    parser.add_argument("--max-wait-ms", type=float, default=5, help="how long the first image waits for others")
    parser.add_argument("--queue-size", type=int, default=256, help="images that may wait")
    parser.add_argument("--max-body-bytes", type=int, default=10_000_000)
    parser.add_argument("--timeout-s", type=float, default=10, help="for one request, from its first byte on")
    arguments = parser.parse_args()
    app = make_app(arguments.path, arguments)
    uvicorn.run(app, host=arguments.host, port=arguments.port, access_log=False, timeout_graceful_shutdown=30)


if __name__ == "__main__":
    main()
