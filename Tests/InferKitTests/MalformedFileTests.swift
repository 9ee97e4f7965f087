import InferKit
import TestSupport
import Testing

/// Through the front door: every malformed file ends in one typed error that is safe to print.
@Suite struct MalformedFileTests {
    @Test(.timeLimit(.minutes(5)), arguments: MalformedCorpus.groups.map { $0.name })
    func everyFileIsRefused(group: String) throws {
        let cases = try #require(MalformedCorpus.groups.first { $0.name == group }).cases
        for malformed in cases {
            let directory = try TemporaryDirectory()
            let path = try malformed.write(to: directory)
            let configuration = GGUFLanguageModel.Configuration(threads: 1, contextLength: 8, batchSize: 8)
            if malformed.stage == .tolerated {
                #expect(throws: Never.self, "\(malformed.name)") {
                    try GGUFLanguageModel(path: path, configuration: configuration)
                }
                continue
            }
            let error = #expect(throws: ModelLoadError.self, "\(malformed.name)") {
                try GGUFLanguageModel(path: path, configuration: configuration)
            }
            if case .invalidConfiguration = error { Issue.record("\(malformed.name): \(String(describing: error))") }
            let text = error?.description ?? ""
            #expect(
                !text.unicodeScalars.contains { $0.properties.generalCategory == .control }, "\(malformed.name)")
            #expect(text.count < 2_000, "\(malformed.name)")
        }
    }
}
