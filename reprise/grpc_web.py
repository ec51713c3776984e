"""placeholder: written by the gRPC-web helper"""
