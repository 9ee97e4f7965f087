// swift-tools-version: 6.3
import PackageDescription

// Micro-benchmarks. A package of its own, so that nobody who uses the library builds or resolves it.
let package = Package(
    name: "Benchmarks",
    platforms: [.macOS(.v15)],
    dependencies: [.package(name: "infer", path: "..")],
    targets: [
        .executableTarget(
            name: "Benchmarks",
            dependencies: [
                .product(name: "CKernels", package: "infer"), .product(name: "InferKit", package: "infer"),
            ])
    ],
    swiftLanguageModes: [.v6]
)
