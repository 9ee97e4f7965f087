import ArgumentParser
import Engine
import Foundation

/// `infer doctor`: what the machine is and what it can do at most.
struct Doctor: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show what this machine is and measure what it can do at most.",
        discussion: """
            Measures memory bandwidth and arithmetic peaks, which bound the speed of every model: a decoded token \
            reads all active weights once, a prompt token costs one multiply-add per active weight. \
            With a model it says whether there is memory for it and how fast it can be at most. \
            Takes about ten seconds.

              infer doctor
              infer doctor --model qwen.gguf -c 16384
            """)

    @Option(
        name: [.short, .long], help: ArgumentHelp("A GGUF model file to judge.", valueName: "file"),
        completion: .file(extensions: ["gguf"]))
    var model: String?

    @Option(
        name: [.customShort("c"), .long],
        help: ArgumentHelp("Context length in tokens that the model shall have room for.", valueName: "tokens"))
    var ctxSize = 4096

    @Option(name: [.short, .long], help: "Most threads to measure with. Default: all cores.")
    var threads: Int?

    @Flag(help: "Print one JSON object.")
    var json = false

    func validate() throws {
        if let threads, !(1...1024 ~= threads) { throw ValidationError("--threads must be 1…1024, found \(threads)") }
        guard 1...(1 << 26) ~= ctxSize else { throw ValidationError("--ctx-size must be 1 to \(1 << 26)") }
    }

    private struct Report: Encodable {
        struct Bandwidth: Encodable {
            let threads: Int
            let pages: String
            let gigabytes_per_second: Double
        }
        struct Peak: Encodable {
            let threads: Int
            let int8_gmac_per_second: Double
            let float_gmac_per_second: Double
        }
        struct Cache: Encodable {
            let name: String
            let bytes: Int
        }
        var cpu: String
        var cores: Int
        var memory_bytes: Int
        var available_memory_bytes: Int
        var caches: [Cache]
        var page_bytes: Int
        var huge_pages: String?
        var isa: String
        var isa_available: [String]
        var bandwidth: [Bandwidth] = []
        var peak: [Peak] = []
        var model: ModelFit?

        /// The largest of all measurements: what a limit must be computed from.
        var limits: Yardstick.Reading {
            Yardstick.Reading(
                bandwidth: bandwidth.map { $0.gigabytes_per_second }.max() ?? 0,
                int8Peak: peak.map { $0.int8_gmac_per_second }.max() ?? 0)
        }
    }

    func run() throws {
        let isa = try InstructionSet.activate()
        // Refused before ten seconds of measuring.
        let model = try model.map { path in
            var options = EngineOptions()
            options.allowsUntrainedContext = true
            return try Model.load(path: path, options: options)
        }
        let facts = MachineFacts.read()
        var report = Report(
            cpu: facts.cpu, cores: facts.cores, memory_bytes: facts.memory,
            available_memory_bytes: facts.availableMemory,
            caches: facts.caches.map { Report.Cache(name: $0.name, bytes: $0.bytes) },
            page_bytes: facts.pageBytes, huge_pages: facts.hugePages,
            isa: isa.rawValue, isa_available: InstructionSet.available.map(\.rawValue))
        for count in threadCounts(upTo: threads ?? facts.cores) {
            let probe = MachineProbe(threads: count)
            report.peak.append(
                Report.Peak(
                    threads: count, int8_gmac_per_second: probe.int8Peak(),
                    float_gmac_per_second: probe.floatPeak()))
            for pages in MachineProbe.Pages.allCases {
                report.bandwidth.append(
                    Report.Bandwidth(
                        threads: count, pages: pages.rawValue,
                        gigabytes_per_second: probe.readBandwidth(pages: pages)))
            }
        }
        if let model {
            report.model = ModelFit(
                model, contextLength: ctxSize, availableMemory: facts.availableMemory, limits: report.limits)
        }
        if json { try printJSON(report) } else { try printTable(report) }
    }

    /// 1, 2, 4, … and the most.
    private func threadCounts(upTo most: Int) -> [Int] {
        var counts = [1]
        while counts[counts.count - 1] * 2 < most { counts.append(counts[counts.count - 1] * 2) }
        return most > 1 ? counts + [most] : counts
    }

    private func printJSON(_ report: Report) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        try StandardOutput.line(String(decoding: try encoder.encode(report), as: UTF8.self))
    }

    private func printTable(_ report: Report) throws {
        func line(_ name: String, _ value: String) throws {
            try StandardOutput.line("\(name.padding(toLength: 18, withPad: " ", startingAt: 0)) \(value)")
        }
        func gibibytes(_ bytes: Int) -> String { String(format: "%.1f GiB", Double(bytes) / 0x1p30) }
        try line("processor", "\(report.cpu), \(report.cores) cores")
        try line("instruction sets", "\(report.isa) in use of \(report.isa_available.joined(separator: ", "))")
        try line("caches", report.caches.map { "\($0.name) \($0.bytes / 1024) KiB" }.joined(separator: ", "))
        try line(
            "memory", "\(gibibytes(report.memory_bytes)), \(gibibytes(report.available_memory_bytes)) available")
        try line("pages", "\(report.page_bytes / 1024) KiB" + (report.huge_pages.map { "; 2 MiB pages: \($0)" } ?? ""))
        try StandardOutput.line("\nthreads   int8 GMAC/s   float GMAC/s   read GB/s, 4 KiB pages   2 MiB pages")
        for peak in report.peak {
            let read = report.bandwidth.filter { $0.threads == peak.threads }.map(\.gigabytes_per_second)
            try StandardOutput.line(
                String(
                    format: "%7d %13.0f %14.0f %24.1f %13.1f", peak.threads, peak.int8_gmac_per_second,
                    peak.float_gmac_per_second, read.first ?? 0, read.last ?? 0))
        }
        guard let model = report.model else { return }
        try StandardOutput.line()
        for text in model.lines { try StandardOutput.line(text) }
    }
}
