import ChatTemplates
import Engine
import Foundation
import GGUF
import InferKit

/// A model that the server offers.
package struct ModelEntry: Sendable {
    /// The name under which it is listed.
    package var name: String
    package var path: String
    package var aliases: [String]

    /// - Parameter argument: `FILE` or `NAME=FILE`; a name may be followed by aliases: `NAME,ALIAS=FILE`.
    package init(argument: String) {
        // A path may hold an equals sign too: what stands before it is a name only if there is no such file.
        if let sign = argument.firstIndex(of: "="), !FileManager.default.fileExists(atPath: argument) {
            let names = argument[..<sign].split(separator: ",").map(String.init)
            path = String(argument[argument.index(after: sign)...])
            name = names.first ?? Self.name(of: path)
            aliases = Array(names.dropFirst())
        } else {
            path = argument
            name = Self.name(of: argument)
            aliases = []
        }
    }

    /// The file's name without folder and extension.
    private static func name(of path: String) -> String {
        let file = URL(filePath: path).lastPathComponent
        return file.hasSuffix(".gguf") ? String(file.dropLast(5)) : file
    }
}

/// What a model needs when it runs.
struct ModelMemory: Sendable {
    var weights: Int
    /// Of all parallel sequences, full.
    var sequences: Int
    var scratch: Int
    var prefixes: Int

    var total: Int { weights + sequences + scratch + prefixes }

    /// Checks the file on the way.
    init(_ model: Model, limits: Scheduler.Limits) throws {
        let figures = model.memory(contextLength: try model.servedContextLength())
        // A model that only makes vectors takes one text at a time and keeps nothing of it.
        let isEncoder = model.architecture.isEncoder
        weights = figures.weights
        sequences = figures.cache * (isEncoder ? 1 : limits.parallel)
        scratch = figures.scratch
        prefixes = isEncoder ? 0 : limits.cacheBytes
    }
}

/// The models of the server: loaded when they are first asked for, and let go again, the least recently used first,
/// when others need the memory.
actor ModelCatalog {
    private final class Place {
        let entry: ModelEntry
        let memory: ModelMemory
        let fileSize: Int
        let information: ModelInformation
        let isEncoder: Bool
        let fileFacts: JSONObject
        let quantization: String
        var model: ServedModel?
        var loading: Task<ServedModel, any Error>?
        var lastUse = ContinuousClock.now

        init(entry: ModelEntry, memory: ModelMemory, information: ModelInformation, model: Model) {
            self.entry = entry
            self.memory = memory
            self.information = information
            fileSize = model.file.fileSize
            isEncoder = model.architecture.isEncoder
            fileFacts = FileFacts.members(of: model.file, architecture: information.architecture)
            quantization = FileFacts.quantization(of: model.file)
        }
    }

    /// A model as it is listed.
    struct Listing: Sendable {
        var entry: ModelEntry
        var information: ModelInformation
        var fileSize: Int
        var isLoaded: Bool
        /// It makes vectors and no text.
        var isEncoder: Bool
        /// What the file says of the model's form.
        var fileFacts: JSONObject
        var quantization: String
    }

    private var places: [Place] = []
    private let configuration: GGUFLanguageModel.Configuration
    private let limits: Scheduler.Limits
    private let budget: Int
    private let log: @Sendable (String) -> Void

    /// Opens every file once, so that a wrong one is told at the start.
    /// - Parameter budget: bytes for everything that is loaded at a time.
    init(
        _ entries: [ModelEntry], configuration: GGUFLanguageModel.Configuration, limits: Scheduler.Limits, budget: Int,
        log: @escaping @Sendable (String) -> Void
    ) throws {
        self.configuration = configuration
        self.limits = limits
        self.budget = budget
        self.log = log
        var names: Set<String> = []
        for entry in entries {
            for name in [entry.name] + entry.aliases where !names.insert(name).inserted {
                throw StartError("two models are called '\(name)'; give one another name with NAME=FILE")
            }
            let probe = try GGUFLanguageModel(servedPath: entry.path, configuration: configuration)
            guard let engine = probe.engine else { throw StartError("\(entry.path) does not run on the engine") }
            let memory = try ModelMemory(engine, limits: limits)
            log(
                "\(entry.name): weights \(Self.size(memory.weights)), \(limits.parallel) sequences of "
                    + "\(probe.information.contextLength) tokens \(Self.size(memory.sequences)), intermediate values "
                    + "\(Self.size(memory.scratch)), kept beginnings of prompts up to \(Self.size(memory.prefixes)): "
                    + "\(Self.size(memory.total)) of \(Self.size(budget))")
            guard memory.total <= budget else {
                throw StartError(
                    "\(entry.name) needs \(memory.total) bytes (weights \(memory.weights), sequences "
                        + "\(memory.sequences), intermediate \(memory.scratch), kept prompts \(memory.prefixes)), "
                        + "but only \(budget) are available; lower --ctx-size, --parallel or --cache-ram")
            }
            places.append(
                Place(entry: entry, memory: memory, information: probe.information, model: engine))
        }
    }

    private static func size(_ bytes: Int) -> String {
        bytes >= 1 << 30
            ? String(format: "%.1f GiB", Double(bytes) / Double(1 << 30))
            : String(format: "%.0f MiB", Double(bytes) / Double(1 << 20))
    }

    var listings: [Listing] {
        places.map {
            Listing(
                entry: $0.entry, information: $0.information, fileSize: $0.fileSize, isLoaded: $0.model != nil,
                isEncoder: $0.isEncoder, fileFacts: $0.fileFacts, quantization: $0.quantization)
        }
    }

    /// Loaded models.
    var loaded: [ServedModel] { places.compactMap(\.model) }

    /// The model of this name or alias. A server with one model answers to any name; nil means the first.
    /// - Throws: `APIError`.
    func model(named name: String?) async throws -> ServedModel {
        let place = try place(named: name)
        place.lastUse = .now
        if let model = place.model { return model }
        if let loading = place.loading { return try await loading.value }
        makeRoom(for: place)
        let (entry, configuration, limits, log) = (place.entry, configuration, limits, log)
        let loading = Task { try await Self.load(entry, configuration, limits, log) }
        place.loading = loading
        defer { place.loading = nil }
        let model = try await loading.value
        place.model = model
        return model
    }

    private func place(named name: String?) throws -> Place {
        if let name, let index = index(of: name) { return places[index] }
        guard let first = places.first, places.count == 1 || name == nil || name == "" else {
            let names = places.flatMap { [$0.entry.name] + $0.entry.aliases }.joined(separator: ", ")
            throw APIError.notFound("there is no model '\(name ?? "")'; there are \(names)", code: "model_not_found")
        }
        return first
    }

    /// The model of this name, for listings.
    func listing(named name: String) -> Listing? { index(of: name).map { listings[$0] } }

    private func index(of name: String) -> Int? {
        func place(_ spelling: (String) -> String) -> Int? {
            places.firstIndex { place in
                ([place.entry.name] + place.entry.aliases).contains { spelling($0) == spelling(name) }
            }
        }
        // Ollama's clients add a tag, or leave it out.
        return place { $0 } ?? place { $0.hasSuffix(":latest") ? String($0.dropLast(7)) : $0 }
    }

    /// Lets a model go; what it is answering comes to its end first.
    /// - Returns: its name.
    func release(named name: String?) throws -> String {
        let place = try place(named: name)
        if let model = place.model {
            log("\(place.entry.name) is unloaded as a client wants it")
            model.scheduler.close()
            place.model = nil
        }
        return place.entry.name
    }

    /// Lets models go until another fits. Those that answer right now stay in memory until their answers are done.
    private func makeRoom(for place: Place) {
        func used() -> Int { places.reduce(0) { $0 + ($1.model == nil ? 0 : $1.memory.total) } }
        while used() + place.memory.total > budget {
            let idle = places.filter { $0.model != nil && !($0.model?.isBusy ?? false) }
            guard let oldest = idle.min(by: { $0.lastUse < $1.lastUse }) ?? places.first(where: { $0.model != nil })
            else {
                return
            }
            log("\(oldest.entry.name) is unloaded to make room for \(place.entry.name)")
            oldest.model?.scheduler.close()
            oldest.model = nil
        }
    }

    /// On a thread of its own: loading waits for the disk.
    private static func load(
        _ entry: ModelEntry, _ configuration: GGUFLanguageModel.Configuration, _ limits: Scheduler.Limits,
        _ log: @escaping @Sendable (String) -> Void
    ) async throws -> ServedModel {
        try await withCheckedThrowingContinuation { continuation in
            let thread = Thread {
                let start = ContinuousClock.now
                continuation.resume(
                    with: Result {
                        let model = try ServedModel(
                            name: entry.name, path: entry.path, configuration: configuration, limits: limits, log: log)
                        log("\(entry.name) is loaded, after \((ContinuousClock.now - start) / .milliseconds(1)) ms")
                        return model
                    })
            }
            thread.stackSize = 8 << 20
            thread.start()
        }
    }

    /// Ends what runs, with what there is, and takes no more.
    func abandon() { for model in loaded { model.scheduler.abandon() } }

    /// Lets running answers come to their end, but no longer than `grace`; what is not done by then ends with what
    /// there is.
    func shutDown(grace: Duration) async {
        let schedulers = loaded.map(\.scheduler)
        for scheduler in schedulers { scheduler.close() }
        let end = ContinuousClock.now + grace
        while ContinuousClock.now < end, schedulers.contains(where: { $0.metrics.running + $0.metrics.waiting > 0 }) {
            try? await Task.sleep(for: .milliseconds(20))
        }
        for scheduler in schedulers { scheduler.abandon() }
        await withCheckedContinuation { continuation in
            Thread.detachNewThread {
                for scheduler in schedulers { scheduler.waitUntilEnded() }
                continuation.resume()
            }
        }
    }
}

/// Why the server does not start.
package struct StartError: Error, CustomStringConvertible {
    package let description: String

    init(_ description: String) { self.description = description }
}
