import ArgumentParser
import ChatTemplates
import Engine
import Foundation
import GGUF
import InferKit
import ModelTools
import Tokenization

/// One evaluation at work: progress, Ctrl-C, and what is printed at the end.
final class EvalRun {
    private let destination: EvalDestination
    private let stop = StopFlag()
    private let interrupts = Interrupts()
    private var line = ProgressLine()
    private let start = ContinuousClock.now
    private var base: (done: Int, time: ContinuousClock.Instant)?
    private var shown = ContinuousClock.now

    /// - Throws: `CommandError` where the results could not be written.
    init(_ destination: EvalDestination) throws {
        if let output = destination.output { try OutputFile.check(output) }
        self.destination = destination
        interrupts.handle { [stop] in stop.set() }
    }

    var isStopped: Bool { stop.isSet }

    /// A flag for one answer, which sets it too when it ends; Ctrl-C sets it before.
    func answerFlag() -> StopFlag {
        let flag = StopFlag()
        interrupts.handle { [stop] in
            stop.set()
            flag.set()
        }
        if stop.isSet { flag.set() }
        return flag
    }

    /// Shows how far it is and how long it still takes.
    /// - Returns: false after Ctrl-C.
    func progress(_ done: Int, _ total: Int, _ unit: String) -> Bool {
        let now = ContinuousClock.now
        let base = base ?? (done, now)
        self.base = base
        // Ten times a second is as often as anybody can read.
        if now - shown > .milliseconds(100) {
            shown = now
            var text = "\(done) of \(total) \(unit)"
            let seconds = (now - base.time) / .seconds(1)
            if done > base.done, seconds > 0.5 {
                let rate = Double(done - base.done) / seconds
                text += String(format: rate < 10 ? ", %.1f/s" : ", %.0f/s", rate)
                text += ", \(Self.duration(Double(total - done) / rate)) left"
            }
            line.show(text)
            if text.hasSuffix("left") { TestPause.evaluation.hold { stop.isSet } }
        }
        return !stop.isSet
    }

    /// Says something while the work has not begun.
    func note(_ text: String) { line.show(text) }

    static func duration(_ seconds: Double) -> String {
        guard seconds.isFinite, seconds >= 0, seconds < 1e9 else { return "unknown time" }
        let whole = Int(seconds.rounded(.up))
        if whole < 60 { return "\(whole) s" }
        if whole < 3600 { return "\(whole / 60) min \(whole % 60) s" }
        return "\(whole / 3600) h \(whole % 3600 / 60) min"
    }

    /// Opens the kept results, works, prints the report and removes what is no longer needed.
    /// - Parameters:
    ///   - identity: what makes this evaluation another than others.
    ///   - report: what the records amount to; nil when there are none.
    func perform<Record: Codable>(
        _ type: Record.Type, identity: String, work: (RunState<Record>) throws -> Void,
        report: ([Record]) throws -> EvalReport?
    ) throws {
        let state = try open(type, identity: identity)
        var isComplete = true
        do {
            try work(state)
        } catch EvaluationError.cancelled {
            isComplete = false
        }
        try close(state, isComplete: isComplete, report: report)
    }

    /// The results that are kept of an earlier run.
    func open<Record: Codable>(_ type: Record.Type, identity: String) throws -> RunState<Record> {
        try RunState(path: destination.statePath, identity: identity)
    }

    /// Prints the report. - Throws: the exit code of an interrupted run.
    func close<Record: Codable>(
        _ state: RunState<Record>, isComplete: Bool, report: ([Record]) throws -> EvalReport?
    ) throws {
        try finish(try report(state.records), isComplete: isComplete)
        guard isComplete else {
            if let path = state.path {
                Terminal.writeHint("interrupted; the same command goes on, its results so far are in \(path)")
            } else {
                Terminal.writeHint("interrupted; --output or --state keeps the results of the next one")
            }
            throw ExitCode(130)
        }
        if destination.state == nil { state.remove() }
    }

    /// Prints the report, and writes it where it is wanted.
    func finish(_ report: EvalReport?, isComplete: Bool) throws {
        line.clear()
        guard var report else { return }
        report.add("complete", .bool(isComplete))
        report.add("seconds", .double(((ContinuousClock.now - start) / .seconds(1) * 1000).rounded() / 1000))
        if let output = destination.output, isComplete { try OutputFile.write(report.json + "\n", to: output) }
        try StandardOutput.line(destination.json ? report.json : report.text)
    }
}

/// What an evaluation found: fields for programs and lines for people.
struct EvalReport {
    private(set) var fields: [(key: String, value: JSONValue)] = []
    private(set) var lines: [(label: String, text: String)] = []
    /// Text below the lines, such as a table.
    var appendix = ""

    mutating func add(_ key: String, _ value: JSONValue) { fields.append((key, value)) }

    mutating func add(_ label: String, text: String) { lines.append((label, text)) }

    /// A number with its standard error, in both forms.
    mutating func add(_ key: String, _ label: String, _ estimate: Estimate, format: String = "%.4f", scale: Double = 1)
    {
        fields.append((key, estimate.json))
        var text = String(format: format, estimate.value * scale)
        if let error = estimate.standardError { text += " ± " + String(format: format, error * scale) }
        lines.append((label, text + (scale == 100 ? " %" : "")))
    }

    var json: String { JSONValue.object(JSONObject(fields.map { ($0.key, $0.value) })).text(.spaced) }

    var text: String {
        let width = (lines.map { $0.label.count }.max() ?? 0) + 2
        let body = lines.map { $0.label.padding(toLength: width, withPad: " ", startingAt: 0) + $0.text }
        return (body + (appendix.isEmpty ? [] : ["", appendix])).joined(separator: "\n")
    }
}

extension Estimate {
    var json: JSONValue {
        // JSON has no infinities, and exp has.
        func number(_ value: Double?) -> JSONValue { value.flatMap { $0.isFinite ? .double($0) : nil } ?? .null }
        return ["value": number(value), "standard_error": number(standardError)]
    }
}

/// What names a model among others: its file's name, size and date.
enum EvalIdentity {
    static func model(_ path: String) -> String {
        let attributes = try? FileManager.default.attributesOfItem(atPath: path)
        let size = attributes?[.size] as? Int ?? 0
        let date = attributes?[.modificationDate] as? Date ?? .distantPast
        return "\(URL(filePath: path).lastPathComponent) (\(size) bytes, \(Int(date.timeIntervalSince1970)))"
    }
}

/// Where results go and what is kept of an evaluation that is broken off.
struct EvalDestination {
    let json: Bool
    let output: String?
    let state: String?

    init(_ report: EvalReportOptions, state: String? = nil) {
        (json, output, self.state) = (report.json, report.output, state)
    }

    var statePath: String? { state ?? output.map { $0 + ".state" } }
}

/// How a text is read and cut; nil: as `EvalWindowOptions` says.
struct EvalCut {
    var ctxSize: Int?
    var stride: Int?
    var tokens: Int?
    let parseSpecial: Bool

    init(_ options: EvalTextOptions, ctxSize: Int?, stride: Int?) {
        (self.ctxSize, self.stride, tokens, parseSpecial) = (ctxSize, stride, options.tokens, options.parseSpecial)
    }

    /// Reads a text (`-`: standard input) and cuts it.
    func text(_ path: String, _ model: Model, _ tokenizer: Tokenizer) throws -> ScoredText {
        let data = path == "-" ? try StandardInput.all() : try TextFile.data(of: path)
        let text = try TextFile.whole(data, from: path == "-" ? "standard input" : path)
        var ids = tokenizer.encode(text, addSpecial: false, parseSpecial: parseSpecial)
        if let tokens, tokens < ids.count { ids.removeSubrange(tokens...) }
        guard !ids.isEmpty else { throw CommandError("\(path): the text is empty") }
        let capacity = try model.contextLength(ctxSize)
        return try ScoredText(
            tokens: ids, length: ctxSize, stride: stride, lead: tokenizer.addBOS ? tokenizer.bos : nil,
            capacity: capacity)
    }
}
