#if Server
    import ArgumentParser
    import Engine
    import Foundation
    import InferKit
    import InferServer

    /// `infer serve`: answers over HTTP.
    struct Serve: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Answer over HTTP, for chat clients and programs.",
            discussion: """
                Speaks the APIs of OpenAI (/v1/chat/completions, /v1/completions, /v1/responses, /v1/embeddings, \
                /v1/models), Anthropic (/v1/messages) and Ollama (/api/chat, /api/generate, /api/tags), and shows a \
                page to chat with in a browser.

                  infer serve --model qwen-9b.gguf
                  infer serve --model small=qwen-1b.gguf --model large=qwen-9b.gguf --api-key secret
                """)

        @Option(
            name: [.short, .long],
            help: ArgumentHelp(
                "The GGUF model file, with names that clients may use for it. May be given several times: models are "
                    + "loaded when they are asked for.", valueName: "[name[,alias]=]file"))
        var model: [String]

        @Option(help: "The address to listen at. 0.0.0.0: reachable from other machines.")
        var host = "127.0.0.1"

        @Option(help: "The port to listen at; 0: any free one.")
        var port = 8080

        @Option(
            help: ArgumentHelp("A key that requests must carry. May be given several times.", valueName: "key"))
        var apiKey: [String] = []

        @Option(help: ArgumentHelp("A file with one such key per line.", valueName: "file"))
        var apiKeyFile: String?

        @Option(
            help: ArgumentHelp(
                "An origin whose web pages may use the server; * for all. May be given several times.",
                valueName: "origin"))
        var corsOrigin: [String] = []

        @Option(
            name: [.customLong("parallel"), .customLong("np", withSingleDash: true)],
            help: "Requests that are answered side by side.")
        var parallel = 8

        @Option(help: "Requests that may wait; more are refused.")
        var queue = 64

        @OptionGroup var compute: ComputeOptions

        @Option(help: ArgumentHelp("Memory for beginnings of prompts that are kept.", valueName: "MiB"))
        var cacheRam = 1024

        @Option(help: ArgumentHelp("A folder where these are kept beyond the end of the server.", valueName: "folder"))
        var cacheDir: String?

        @Option(
            help: ArgumentHelp("Memory for everything (default: what the system has available).", valueName: "MiB"))
        var memory: Int?

        @Option(help: ArgumentHelp("Longest answer in time; it then ends with what there is.", valueName: "seconds"))
        var timeout = 3600

        @Option(help: ArgumentHelp("Largest request body.", valueName: "MiB"))
        var bodyLimit = 64

        @Option(
            help: ArgumentHelp(
                "How long running answers may go on when the server is told to end.", valueName: "seconds"))
        var shutdownGrace = 30

        @Flag(help: "Write the text of prompts to the log, too.")
        var logPrompts = false

        @Flag(help: "Do not offer the page to chat with.")
        var noPage = false

        func validate() throws {
            func check(_ name: String, _ value: Int, _ range: ClosedRange<Int>) throws {
                guard range.contains(value) else {
                    throw ValidationError("\(name) must be \(range.lowerBound) to \(range.upperBound)")
                }
            }
            if model.isEmpty { throw ValidationError("--model is missing") }
            if let nameless = model.first(where: { ModelEntry(argument: $0).path.isEmpty }) {
                throw ValidationError("--model '\(nameless)' names no file")
            }
            try check("--port", port, 0...65535)
            try check("--parallel", parallel, 1...256)
            try check("--queue", queue, 0...100_000)
            try check("--cache-ram", cacheRam, 0...(1 << 24))
            try check("--timeout", timeout, 1...31_536_000)
            try check("--body-limit", bodyLimit, 1...4096)
            try check("--shutdown-grace", shutdownGrace, 0...86_400)
            if let ctxSize = compute.ctxSize { try check("--ctx-size", ctxSize, 1...(1 << 30)) }
            if let memory { try check("--memory", memory, 1...(1 << 24)) }
        }

        func run() async throws {
            let host = host.contains(":") ? "[\(host)]" : host
            do {
                let service = try InferService(try serverConfiguration()) { LogLine.write($0) }
                try await withThrowingTaskGroup { group in
                    group.addTask { try await service.prepare() }
                    group.addTask {
                        try await HTTPServer(service).run { port in
                            LogLine.write("listening at http://\(host):\(port)")
                        }
                    }
                    try await group.waitForAll()
                }
            } catch {
                throw CommandError("\(error)")
            }
            LogLine.write("ended")
        }

        private func serverConfiguration() throws -> ServerConfiguration {
            var configuration = ServerConfiguration(models: model.map { ModelEntry(argument: $0) })
            configuration.model = compute.configuration
            configuration.limits.parallel = parallel
            configuration.limits.queue = queue
            configuration.limits.cacheBytes = cacheRam << 20
            configuration.limits.cacheFolder = cacheDir
            configuration.host = host
            configuration.port = port
            configuration.apiKeys = try apiKey + keysFromFile()
            configuration.corsOrigins = corsOrigin
            configuration.bodyLimit = bodyLimit << 20
            configuration.timeout = .seconds(timeout)
            configuration.shutdownGrace = .seconds(shutdownGrace)
            configuration.logsPrompts = logPrompts
            configuration.servesPage = !noPage
            let facts = MachineFacts.read()
            configuration.memoryBudget =
                memory.map { $0 << 20 } ?? (facts.availableMemory > 0 ? facts.availableMemory : facts.memory)
            return configuration
        }

        private func keysFromFile() throws -> [String] {
            guard let apiKeyFile else { return [] }
            let text = try TextFile.contents(of: apiKeyFile)
            let keys = text.split(whereSeparator: \.isNewline).map { $0.trimmingCharacters(in: .whitespaces) }
            return keys.filter { !$0.isEmpty && !$0.hasPrefix("#") }
        }
    }

    /// Lines for the operator on standard error, with the time.
    enum LogLine {
        static func write(_ text: String) {
            let time = Date.now.formatted(Date.ISO8601FormatStyle(includingFractionalSeconds: true))
            Terminal.writeMessage("\(time) \(text)\n")
        }
    }
#else
    import ArgumentParser

    /// `infer serve` in a build without the server.
    struct Serve: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Answer over HTTP, for chat clients and programs (not in this build).")

        @Argument(parsing: .captureForPassthrough, help: .hidden)
        var arguments: [String] = []

        func run() throws {
            throw CommandError(
                "this infer was built without the server; build it with: swift build -c release --traits Server")
        }
    }
#endif
