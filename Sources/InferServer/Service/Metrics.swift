import ChatTemplates
import Foundation
import InferKit

/// `/metrics` in Prometheus' text format, version 0.0.4.
struct Metrics {
    let service: InferService

    func reply() async -> ServerReply {
        let models = await service.catalog.loaded.map { (name: $0.name, metrics: $0.scheduler.metrics) }
        var text = ""
        func header(_ name: String, _ type: String, _ help: String) {
            text += "# HELP infer_\(name) \(help)\n# TYPE infer_\(name) \(type)\n"
        }
        func family(_ name: String, _ type: String, _ help: String, _ value: (ServingMetrics) -> String) {
            header(name, type, help)
            for model in models {
                text += "infer_\(name){model=\"\(Self.escaped(model.name))\"} \(value(model.metrics))\n"
            }
        }
        func histogram(_ name: String, _ help: String, _ value: (ServingMetrics) -> ServingMetrics.Histogram) {
            header(name, "histogram", help)
            for model in models {
                let (label, values) = ("model=\"\(Self.escaped(model.name))\"", value(model.metrics))
                for (bound, count) in zip(values.bounds, values.counts) {
                    text += "infer_\(name)_bucket{\(label),le=\"\(bound)\"} \(count)\n"
                }
                text += "infer_\(name)_bucket{\(label),le=\"+Inf\"} \(values.count)\n"
                text += "infer_\(name)_sum{\(label)} \(values.sum)\ninfer_\(name)_count{\(label)} \(values.count)\n"
            }
        }
        family("requests_waiting", "gauge", "Requests in the queue.") { "\($0.waiting)" }
        family("requests_running", "gauge", "Requests being answered.") { "\($0.running)" }
        family("requests_total", "counter", "Requests that were started.") { "\($0.requests)" }
        family("requests_cancelled_total", "counter", "Requests whose client went away.") { "\($0.cancelled)" }
        family("prompt_tokens_total", "counter", "Tokens of prompts.") { "\($0.promptTokens)" }
        family("prompt_tokens_cached_total", "counter", "Tokens of prompts that need not be computed.") {
            "\($0.cachedTokens)"
        }
        family("generated_tokens_total", "counter", "Tokens of answers.") { "\($0.generatedTokens)" }
        family("steps_total", "counter", "Forward passes.") { "\($0.steps)" }
        family("step_seconds_total", "counter", "Time in forward passes.") { "\($0.stepSeconds)" }
        family("prefix_cache_bytes", "gauge", "Memory of kept beginnings of prompts.") { "\($0.cacheBytes)" }
        histogram("queue_seconds", "Time in the queue.") { $0.queueSeconds }
        histogram("time_to_first_token_seconds", "From request to first token.") { $0.firstTokenSeconds }
        histogram("time_between_tokens_seconds", "Between tokens of an answer.") { $0.tokenSeconds }
        header("http_replies_total", "counter", "Replies by status.")
        for (status, count) in service.statusCounts {
            text += "infer_http_replies_total{status=\"\(status)\"} \(count)\n"
        }
        header("memory_resident_bytes", "gauge", "Memory of the process, weights that are read from the file included.")
        text += "infer_memory_resident_bytes \(Self.residentBytes())\n"
        return .text(text, type: "text/plain; version=0.0.4; charset=utf-8")
    }

    private static func escaped(_ label: String) -> String {
        label.replacingOccurrences(of: "\\", with: "\\\\").replacingOccurrences(of: "\"", with: "\\\"")
            .replacingOccurrences(of: "\n", with: "\\n")
    }

    /// The second number of /proc/self/statm, in pages; 0 where there is no such file.
    static func residentBytes() -> Int {
        let text = (try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8)) ?? ""
        let words = text.split(separator: " ")
        return words.count > 1 ? (Int(words[1]) ?? 0) * sysconf(Int32(_SC_PAGESIZE)) : 0
    }
}
