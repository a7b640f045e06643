from nodewise.recorder.worker import main

if __name__ == "__main__":
    main()
