"""Sends logs, a metric and spans with the OpenTelemetry SDK, over gRPC and over HTTP.

Usage: otlp.py GRPC_ENDPOINT HTTP_ENDPOINT TOKEN RECORDS
"""

import logging
import sys

from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcLogs
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpans
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as HttpLogs
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpMetrics
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

grpc, http, token, records = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
headers = {"authorization": f"Bearer {token}"}
resource = Resource.create({"service.name": "python-client", "service.namespace": "clients"})


def send_logs(exporter, name):
    provider = LoggerProvider(resource=resource)
    provider.add_log_record_processor(BatchLogRecordProcessor(exporter))
    logger = logging.getLogger(name)
    logger.setLevel(logging.INFO)
    logger.addHandler(LoggingHandler(logger_provider=provider))
    for number in range(records):
        logger.info("%s record %d with card 4111 1111 1111 1111", name, number)
    provider.shutdown()


send_logs(GrpcLogs(endpoint=grpc, insecure=True, headers=tuple(headers.items())), "over-grpc")
send_logs(HttpLogs(endpoint=f"{http}/v1/logs", headers=headers), "over-http")

tracer_provider = TracerProvider(resource=resource)
tracer_provider.add_span_processor(
    BatchSpanProcessor(GrpcSpans(endpoint=grpc, insecure=True, headers=tuple(headers.items())))
)
tracer = tracer_provider.get_tracer("client")
for number in range(records):
    with tracer.start_as_current_span("parent"):
        with tracer.start_as_current_span("child"):
            pass
tracer_provider.shutdown()

reader = PeriodicExportingMetricReader(HttpMetrics(endpoint=f"{http}/v1/metrics", headers=headers))
meter_provider = MeterProvider(resource=resource, metric_readers=[reader])
counter = meter_provider.get_meter("client").create_counter("client.requests", unit="{request}")
counter.add(records)
meter_provider.shutdown()
print("sent")
