import Foundation
import Testing

@testable import ChatTemplates

/// The shared conformance data, where the environment says it is.
enum Conformance {
    static let folder = ProcessInfo.processInfo.environment["INFER_CONFORMANCE"]

    static func bytes(_ path: String) throws -> [UInt8] {
        let folder = try #require(folder)
        return [UInt8](try Data(contentsOf: URL(fileURLWithPath: folder + "/" + path)))
    }

    static func json(_ path: String) throws -> JSONValue { try JSONValue(parsing: bytes(path)) }

    static func lines(_ path: String) throws -> [JSONValue] {
        try bytes(path).split(separator: 0x0A).map { try JSONValue(parsing: Array($0)) }
    }

    static func names(_ path: String) -> [String] {
        guard let folder else { return [] }
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder + "/" + path)) ?? []
        return names.filter { $0.hasSuffix(".json") }.sorted()
    }
}

private func fixedClock() -> CivilTime {
    CivilTime(year: 2025, month: 7, day: 4, hour: 12, minute: 30, second: 45)
}

private enum Outcome {
    case text(String)
    case error(TemplateError)
}

private func outcome(_ source: String, _ context: JSONObject) -> Outcome {
    do throws(TemplateError) {
        return .text(try ChatTemplate(source: source).render(context: context, clock: fixedClock))
    } catch {
        return .error(error)
    }
}

/// A line about the difference, nil if the outcome is the expected one.
private func mismatch(_ result: Outcome, _ testCase: JSONValue) -> String? {
    switch (result, testCase["expected"]?.stringValue, testCase["error"]) {
    case (.text(let text), let expected?, _):
        return text.sameCodePoints(as: expected)
            ? nil : "expected \(expected.debugDescription), got \(text.debugDescription)"
    case (.error(let error), nil, let expected?):
        let message = expected["message"]?.stringValue ?? ""
        switch expected["kind"]?.stringValue {
        case "raise_exception":
            return error.kind == .raised && error.message.sameCodePoints(as: message)
                ? nil : "expected the exception \(message), got \(error)"
        case "syntax": return error.kind == .syntax ? nil : "expected a syntax error (\(message)), got \(error)"
        default:
            return error.kind == .raised || error.kind == .limit ? "expected \(expected.text()), got \(error)" : nil
        }
    case (.error(let error), let expected?, _): return "expected \(expected.debugDescription), got \(error)"
    case (.text(let text), nil, let expected?):
        return expected["kind"]?.stringValue == "SecurityError"
            ? nil : "expected \(expected.text()), got \(text.debugDescription)"
    default: return "the case has no expectation"
    }
}

@Suite(.enabled(if: Conformance.folder != nil, "set INFER_CONFORMANCE to the folder of the shared data"))
struct ConformanceTests {
    @Test func jinjaCases() throws {
        let cases = try Conformance.lines("jinja/cases.jsonl")
        #expect(cases.count == 370)
        var failures: [String] = []
        for testCase in cases {
            let source = try #require(testCase["template"]?.stringValue)
            let context = testCase["context"]?.objectValue ?? JSONObject()
            if let difference = mismatch(outcome(source, context), testCase) {
                failures.append("\(source.debugDescription): \(difference)")
            }
        }
        #expect(failures.isEmpty, "\(failures.count) of \(cases.count)\n\(failures.joined(separator: "\n"))")
    }

    @Test(arguments: Conformance.names("chat-templates")) func chatTemplate(_ name: String) throws {
        let file = try Conformance.json("chat-templates/" + name)
        let source = String(
            decoding: try Conformance.bytes("chat-templates/" + (try #require(file["template_file"]?.stringValue))),
            as: UTF8.self)
        let template = try ChatTemplate(source: source)
        let cases = try #require(file["cases"]?.arrayValue)
        #expect(!cases.isEmpty)
        var failures: [String] = []
        for testCase in cases {
            var context = testCase["kwargs"]?.objectValue ?? JSONObject()
            context["messages"] = testCase["messages"]
            if let tools = testCase["tools"] { context["tools"] = tools }
            if context["documents"] == nil { context["documents"] = .null }
            context["bos_token"] = file["bos_token"]
            context["eos_token"] = file["eos_token"]
            let result: Outcome
            do throws(TemplateError) {
                result = .text(try template.render(context: context, clock: fixedClock))
            } catch {
                result = .error(error)
            }
            if let difference = mismatch(result, testCase) {
                failures.append("\(testCase["name"]?.stringValue ?? "?"): \(difference.prefix(1500))")
            }
        }
        #expect(failures.isEmpty, "\(failures.count) of \(cases.count)\n\(failures.prefix(5).joined(separator: "\n"))")
    }
}
