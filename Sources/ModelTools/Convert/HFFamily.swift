/// How the checkpoints of one model family become a file: which classes of `transformers` it has, and a description of
/// metadata and tensors.
struct HFFamily: Sendable {
    /// `architectures` in `config.json`.
    let classes: [String]
    /// `general.architecture`, which may depend on the configuration.
    let architecture: @Sendable (ModelConfig) -> String
    let describe: @Sendable (Blueprint) throws(ConvertError) -> Void

    init(
        _ classes: [String], _ architecture: String,
        _ describe: @escaping @Sendable (Blueprint) throws(ConvertError) -> Void
    ) {
        self.classes = classes
        self.architecture = { _ in architecture }
        self.describe = describe
    }

    init(
        _ classes: [String], choosing architecture: @escaping @Sendable (ModelConfig) -> String,
        _ describe: @escaping @Sendable (Blueprint) throws(ConvertError) -> Void
    ) {
        self.classes = classes
        self.architecture = architecture
        self.describe = describe
    }

    /// Every family. A new one adds a line here.
    static let all: [HFFamily] = [
        llama, mixtral, qwen2, qwen2MoE, qwen3, qwen3MoE, qwen35, gptOss, olmoe, phi3, phiMoE, gemma4, glm4MoE,
        ernie45MoE,
        lfm2MoE, graniteHybrid, nemotronH, deepSeek2, deepSeek32, deepSeek4, miniMaxM2, seedOss, bert, kimiLinear,
    ]

    static var names: [String] { all.flatMap(\.classes).sorted() }

    /// - Throws: `ConvertError.unknownArchitecture`.
    static func find(_ name: String) throws(ConvertError) -> HFFamily {
        guard let family = all.first(where: { $0.classes.contains(name) }) else {
            throw .unknownArchitecture(found: name, known: names)
        }
        return family
    }
}
