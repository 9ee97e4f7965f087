// InferKit
