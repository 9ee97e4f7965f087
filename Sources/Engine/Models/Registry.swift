/// Which families exist. A new family adds a line here.
package enum Registry {
    private static let families: [(names: [String], type: any Architecture.Type)] = [
        (["llama", "mistral3", "smollm3"], Llama.self),
        (["qwen2", "qwen2moe", "qwen2vl"], Qwen2.self),
        (["qwen3", "qwen3moe", "qwen3vl", "qwen3vlmoe"], Qwen3.self),
        (["qwen35", "qwen35moe", "qwen3next"], Qwen35.self),
        (["gpt-oss"], GptOss.self),
        (["phi3", "phimoe"], Phi3.self),
        (["glm4moe"], Glm4Moe.self),
        (["ernie4_5", "ernie4_5-moe"], Ernie45.self),
        (["minimax-m2"], MiniMaxM2.self),
        (["seed_oss"], SeedOss.self),
        (["olmoe"], Olmoe.self),
        (["olmo", "olmo2"], Olmo.self),
        (["command-r", "cohere2", "cohere2moe"], Cohere.self),
        (["exaone4", "exaone-moe"], Exaone.self),
        (["afmoe"], Afmoe.self),
        (["glm4"], Glm4.self),
        (["hunyuan-dense", "hunyuan-moe"], Hunyuan.self),
        (["bailingmoe2"], Bailing2.self),
        (["bailingmoe3"], Bailing3.self),
        (["minicpm3"], MiniCPM3.self),
        (["mamba", "mamba2"], Mamba.self),
        (["jamba"], Jamba.self),
        (["falcon-h1"], FalconH1.self),
        (["gemma", "gemma2", "gemma3", "gemma-embedding"], Gemma.self),
        (["gemma4"], Gemma4.self),
        (["bert"], Bert.self),
        (["deepseek2", "mistral4", "deepseek32", "glm-dsa"], DeepSeek2.self),
        (["deepseek4"], DeepSeek4.self),
        (["nemotron_h", "nemotron_h_moe"], NemotronH.self),
        (["granite", "granitemoe", "granite_swa", "granite-swa", "granitehybrid"], Granite.self),
        (["lfm2", "lfm2moe"], LFM2.self),
        (["kimi-linear"], KimiLinear.self),
    ]

    /// The values of `general.architecture` that can be run.
    package static let names: [String] = families.flatMap(\.names)

    static func family(_ name: String) throws(EngineError) -> any Architecture.Type {
        guard let family = families.first(where: { $0.names.contains(name) }) else {
            throw .unsupportedArchitecture(name: name, known: names)
        }
        return family.type
    }
}
